"""Limited-data curves: score against the number of training rows."""

from typing import TYPE_CHECKING

from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting.figures import (
    band_words,
    draw_band,
    draw_teacher,
    drawing,
    height,
    method_colours,
    place_ticks,
    svg,
)
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.section import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEY_COLUMNS = 3
Variant = tuple[str, str]  # method and augmentation


def row_counts(findings: Findings, task: str) -> dict[float, int]:
    """The number of original training rows of each fraction."""
    whole = findings.collected.datasets[task]["splits"]["train"]["rows"]
    counts = {fraction: round(fraction * whole) for fraction in findings.collected.plan.params.grid.fractions}
    for line in findings.of(task):
        if line.labels["augmentation"] == "none" and line.labels["fraction"] in counts:
            counts[line.labels["fraction"]] = line.facts["train_rows"]
    return counts


def _plot(findings: Findings, task: str, teacher: str, student: str, *, several: bool) -> Plot:
    grid = findings.collected.plan.params.grid
    title = f"{student} from {teacher}" if several else student
    first = teacher_names(teacher)[0]
    own = [line for line in findings.of(task) if line.labels["teacher"] == (first if line.is_teacher else teacher)]
    entries = 1 + len(grid.methods) * len(grid.augmentations)
    with drawing(6.0, height(entries, KEY_COLUMNS)) as (figure, (axes,)):
        _draw(findings, axes, [line for line in own if line.labels["student"] == student and not line.is_teacher])
        draw_teacher(axes, {line.labels["fraction"]: line for line in own if line.is_teacher})
        # Fractions are the places, as two may round to the same number of rows.
        labels = {share: f"{rows:,}\n{100 * share:g} %" for share, rows in row_counts(findings, task).items()}
        place_ticks(axes, labels, logarithmic=True)
        axes.set_xlabel("training rows, and their share")
        axes.set_ylabel(findings.scoring(task).axis)
        axes.set_title(title)
        axes.grid()
        figure.legend(loc="outside lower center", ncols=KEY_COLUMNS)
        image = svg(figure, name=f"rows-{task}-{teacher}-{student}", title=f"{task}, {title}: score by training rows")
    rows, split = findings.collected.plan.params.teachers[first].rows, findings.main(task)[1]
    saw = "the same rows as its students" if rows == "students" else "all rows"
    text = f"Score on {split} against the number of original training rows (log scale), student {title}. "
    return Plot(image, f"{text}{band_words(findings)} Dashed: the teacher, which saw {saw}.")


def _draw(findings: Findings, axes: "Axes", lines: list[Line]) -> None:
    """Draw a line for each method (colour) and augmentation (dashes and marker)."""
    colours, augmentations = method_colours(findings), findings.collected.plan.params.grid.augmentations
    curves: dict[Variant, dict[float, Line]] = {}
    for line in lines:
        variant = line.labels["method"], line.labels["augmentation"]
        curves.setdefault(variant, {})[line.labels["fraction"]] = line
    for (method, augmentation), curve in curves.items():
        name = method if augmentation == "none" else f"{method} with {augmentation}"
        scores = {fraction: line.scores for fraction, line in curve.items()}
        style, scale = augmentations.index(augmentation), lines[0].scoring.scale
        draw_band(axes, scores, colour=colours[method], style=style, label=name, scale=scale)


class LimitedDataSection(Section):
    """Scores by the number of training rows."""

    title = "With fewer training rows"

    def applies(self, findings: Findings, task: str) -> bool:
        """Whether the grid has several fractions."""
        return len(findings.collected.plan.params.grid.fractions) > 1

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """A plot for each teacher and student."""
        students = [line.labels for line in findings.of(task) if not line.is_teacher]
        pairs = dict.fromkeys((labels["teacher"], labels["student"]) for labels in students)
        several = len({teacher for teacher, _ in pairs}) > 1
        return [_plot(findings, task, teacher, student, several=several) for teacher, student in pairs]


SECTION = LimitedDataSection()
