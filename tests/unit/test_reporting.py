"""Reports of a fabricated grid: what the tables, the page and the machine-readable files say, and that it is true."""

import csv
import io
import math
import re
import shutil
import statistics
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.unit.fabricate import fabricate_results, output
from tests.unit.made import report

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import Plan
from distilgrid.reporting import wording
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Difference, Findings, find
from distilgrid.reporting.plots import pareto, points
from distilgrid.reporting.scoring import scoring
from distilgrid.reporting.table import Column, Table, Value, latex, markdown
from distilgrid.reporting.tables import main_table, rejected_table
from distilgrid.stages.report import run as data
from distilgrid.stages.report.page import PUBLISHED, outcomes, publish, render
from distilgrid.stages.table import STAGES
from distilgrid.tasks.kind import find_metric

SCORING = scoring("accuracy")
KD_THREE = ("reviews", "big", "kd", "three", "none", 1.0)
INT8 = "onnxruntime-int8"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """The default fabricated grid, reported."""
    plan, results = fabricate_results(tmp_path_factory.mktemp("grid"))
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


@pytest.fixture(scope="module")
def findings(made: tuple[Plan, Path]) -> Findings:
    return find(collect(*made))


def table_csv(made: tuple[Plan, Path]) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(output(made, "table.csv")))


def cells(made: tuple[Plan, Path], **labels: Any) -> list[Path]:
    plan, results = made
    models = [*plan.teachers, *plan.students]
    return [results / m.folder for m in models if all(m.labels.get(k) == v for k, v in labels.items())]


def logits(folder: Path) -> pd.DataFrame:
    frame = pd.read_parquet(folder / "predictions.parquet")
    return frame[frame["split"] == "validation"]


def test_report_writes_its_declared_files(made: tuple[Plan, Path]) -> None:
    plan, results = made
    run = verified(results / plan.report.folder, stage="report")
    assert {*run["files"], "run.json"} == set(plan.report.files)
    assert run["labels"] == {"grid": "fabricated"}


def test_equal_results_give_equal_bytes(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, results = made
    report(plan=plan, results=results, out=tmp_path / "again")
    again = verified(tmp_path / "again")["files"]
    assert again == verified(results / plan.report.folder)["files"]


def test_csv_has_one_row_per_recipe_and_each_task_begins_with_its_teacher(made: tuple[Plan, Path]) -> None:
    frame = table_csv(made)
    assert list(frame["role"]) == ["teacher", *["student"] * 4] * 2
    assert list(frame["method"][:5]) == ["teacher", "finetune", "kd", "finetune", "kd"]
    assert list(frame["student"][:5]) == ["big", "three", "three", "two", "two"]
    assert set(frame["split"]) == {"validation"}


def test_csv_scores_are_those_of_the_cells(made: tuple[Plan, Path]) -> None:
    row = table_csv(made).query("task == 'topics' and method == 'kd' and student == 'two'").iloc[0]
    scores = [read_json(f / "metrics.json")["score"] for f in cells(made, task="topics", method="kd", student="two")]
    assert (row["seeds"], row["score"]) == (2, pytest.approx(statistics.fmean(scores)))
    assert row["score_std"] == pytest.approx(abs(scores[0] - scores[1]) / math.sqrt(2))


def test_difference_and_interval_agree_with_a_naive_computation(made: tuple[Plan, Path]) -> None:
    """The formula of docs/claims.md over a loop that draws rows, with seeds paired."""
    row = table_csv(made).query("task == 'reviews' and method == 'kd' and student == 'three'").iloc[0]
    frames = {
        m: [logits(f) for f in cells(made, task="reviews", method=m, student="three")] for m in ("kd", "finetune")
    }
    labels = frames["kd"][0]["label"].to_numpy()
    predicted = {m: [np.stack(f["logits"].to_list()).argmax(axis=1) for f in frames[m]] for m in frames}
    accuracy = find_metric("accuracy").value

    def gains(rows: np.ndarray) -> list[float]:
        pairs = zip(predicted["kd"], predicted["finetune"], strict=True)
        return [accuracy(labels[rows], kd[rows]) - accuracy(labels[rows], tuned[rows]) for kd, tuned in pairs]

    own = gains(np.arange(300))
    assert row["difference"] == pytest.approx(statistics.fmean(own))
    generator = np.random.default_rng(11)
    drawn = np.array([gains(generator.integers(300, size=300)) for _ in range(600)])
    by_seed, noise = statistics.variance(own), (drawn[:, 0] - drawn[:, 1]).var(ddof=1) / 2
    shared = max(0.0, drawn.mean(axis=1).var(ddof=1) - noise / 2)
    variance = max(by_seed, noise) / 2 + shared
    freedom = variance**2 / ((by_seed / 2) ** 2 + shared**2 / 299)
    margin = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    low, high = statistics.fmean(own) - margin, statistics.fmean(own) + margin
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=0.3 * margin)


def test_speed_ups_are_against_the_teacher_in_the_same_runtime_and_in_torch(findings: Findings) -> None:
    by_key = {line.key: line for line in findings.lines}
    line = by_key[KD_THREE]
    teacher = findings.teacher(line)
    speed, reference = line.speeds[INT8], teacher.speeds
    assert speed.same == pytest.approx(reference[INT8].latency_ms / speed.latency_ms)
    assert speed.torch == pytest.approx(reference["torch-eager-fp32"].latency_ms / speed.latency_ms)
    assert speed.latency_ms == pytest.approx(2.8), "p50 at the longest length: 0.4 ms and 0.8 ms per layer"


def test_every_table_names_the_split_of_its_numbers(made: tuple[Plan, Path]) -> None:
    tables = output(made, "table.md").split("### ")[1:]
    scores, others = tables[:4], tables[4:]
    assert all("validation" in table for table in scores)
    assert [table.partition("\n")[0] for table in others] == [
        "reviews on local-cpu: latency, ms",
        "reviews on local-cpu: inputs per second",
        "topics on local-cpu: latency, ms",
        "topics on local-cpu: inputs per second",
        "Compute",
    ]
    assert "validation_shifted" in tables[3]
    assert "Matthews correlation (validation_shifted)" in tables[3]


def test_markdown_rows_have_as_many_cells_as_the_header(made: tuple[Plan, Path]) -> None:
    for table in output(made, "table.md").split("### ")[1:]:
        widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) == 1
    awkward = Table("a", "b", [Column("x|y", number=False)], [[Value("p|q", "r|s", best=True)]])
    assert r"| **p\|q** (r\|s) |" in markdown([awkward])


def test_latex_is_escaped_and_its_rows_fit() -> None:
    table = Table("a_b", "50 % & more", [Column("x"), Column("y")], [[Value("{1}", "#2"), Value("$3", best=True)]])
    text = latex([table])
    assert r"a\_b: 50 \% \& more" in text
    assert r"\{1\} \#2 & \textbf{\$3} \\" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles_in_a_plain_article(made: tuple[Plan, Path], tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(output(made, "table.tex"))
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}"
    (tmp_path / "all.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-800:]
    assert "Overfull" not in done.stdout


class Elements(HTMLParser):
    """Collects ids, and every address that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.tags: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if tag == "a":
                continue  # followed by a reader only
            if name in ("src", "href", "xlink:href", "srcset", "data") and not str(value).startswith(("#", "data:")):
                self.fetched.append(str(value))


def test_page_is_one_self_contained_file(made: tuple[Plan, Path]) -> None:
    page = output(made, "report.html")
    elements = Elements()
    elements.feed(page)
    assert elements.fetched == []
    assert not re.search(r"@import|url\((?!#)", page)
    assert elements.tags["script"] == 0
    assert elements.tags["svg"] == 6, "three plots for each task"
    assert [name for name, count in Counter(elements.ids).items() if count > 1] == []
    references = set(re.findall(r'(?:href="|url\()#([\w.-]+)', page))
    assert references and references <= set(elements.ids)


def test_page_begins_with_the_outcome_of_each_task(made: tuple[Plan, Path], findings: Findings) -> None:
    page = output(made, "report.html")
    body = re.sub(r"<[^>]*>", " ", page[page.index("<body") :])
    for outcome in outcomes(findings):
        assert 0 < page.index(outcome.headline.partition("'")[0]) < page.index("<table>")
    assert "seed" in body and plan_key(made) in body


def plan_key(made: tuple[Plan, Path]) -> str:
    return made[0].report.key


def test_page_tells_no_folder_of_this_machine(made: tuple[Plan, Path]) -> None:
    _, results = made
    page = output(made, "report.html")
    assert str(results.parent) not in page
    assert "source: csv:reviews.csv" in page and "source: path:model" in page


def test_page_escapes_what_users_write(findings: Findings) -> None:
    datasets = {**findings.collected.datasets}
    datasets["reviews"] = {**datasets["reviews"], "notes": ["<script>alert(1)</script>"]}
    page = render(replace(findings, collected=replace(findings.collected, datasets=datasets)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_headline_gives_the_share_kept_and_the_speed(findings: Findings) -> None:
    students = [line for line in findings.of("reviews") if not line.is_teacher]
    line = max(students, key=lambda line: line.dev)
    assert line.key == KD_THREE
    teacher = findings.teacher(line)
    share = wording.percent(line.score / teacher.score)
    scores = f"{SCORING.score(line.score)} of {SCORING.score(teacher.score)}"
    change = "\u22120.4 points"
    assert outcomes(findings)[0].headline == (
        f"kd three, best on dev, keeps {share} of the teacher's accuracy ({scores}) at 1.9\u00d7 its speed "
        f"({INT8}: {change})."
    )


def test_every_ratio_says_what_it_is_against(made: tuple[Plan, Path], findings: Findings) -> None:
    page = re.sub(r"<(style|svg).*?</\1>", "", output(made, "report.html"), flags=re.DOTALL)
    shown = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    tables = [main_table(findings, task) for task in findings.tasks]
    for text in (shown, markdown(tables), latex(tables).replace(r"$\times$", wording.TIMES)):
        ratios = re.findall(rf"\d{wording.TIMES}(.{{0,20}})", text)
        assert ratios
        for after in ratios:
            assert re.match(r" ?(the teacher|its speed)", after), after


@pytest.mark.parametrize(
    ("three", "two", "expected"),
    [
        ((0.01, 0.002, 0.02), (0.03, 0.01, 0.05), "kd three beats finetune by 1.0 points, 95 % CI [0.2,"),
        ((0.01, -0.01, 0.03), (0.03, 0.01, 0.05), "kd two beats finetune by 3.0 points, 95 % CI [1.0,"),
        (
            (0.01, -0.01, 0.03),
            (0.0, -0.02, 0.02),
            "No method differs clearly from finetune (best on dev: kd three",
        ),
        (
            (0.01, -0.01, 0.03),
            (-0.03, -0.05, -0.01),
            "No method is clearly better than finetune; kd two is clearly worse",
        ),
    ],
)
def test_comparison_claims_no_more_than_the_intervals_say(
    findings: Findings, three: tuple[float, float, float], two: tuple[float, float, float], expected: str
) -> None:
    kd_two = (*KD_THREE[:3], "two", *KD_THREE[4:])
    changed = {**findings.differences, KD_THREE: Difference(*three), kd_two: Difference(*two)}
    assert outcomes(replace(findings, differences=changed))[0].comparison.startswith(expected)


def test_best_values_are_marked_among_students_only(findings: Findings) -> None:
    table = main_table(findings, "reviews")
    column = next(n for n, c in enumerate(table.columns) if c.title == "accuracy")
    scores = [line.dev for line in findings.of("reviews")]
    assert scores[0] == max(scores), "the teacher is best of all, but not what is looked for"
    assert [row[column].best for row in table.rows].index(True) == scores.index(max(scores[1:]))
    assert sum(row[column].best for row in table.rows) == 1


def test_no_other_model_beats_those_on_the_front(findings: Findings) -> None:
    found = points(findings, "topics")
    front = pareto(found)

    def beaten(point: Any) -> bool:
        return any(
            (p.dev, -p.latency_ms) != (point.dev, -point.latency_ms)
            and p.dev >= point.dev
            and p.latency_ms <= point.latency_ms
            for p in found
        )

    assert not any(beaten(point) for point in front)
    assert {(p.dev, p.latency_ms) for p in found if not beaten(p)} == {(p.dev, p.latency_ms) for p in front}
    assert front[-1].line.is_teacher


def test_metrics_json_nests_numbers_by_task_student_and_method(made: tuple[Plan, Path], findings: Findings) -> None:
    plan, results = made
    metrics = read_json(results / plan.report.folder / "metrics.json")
    assert set(metrics["topics"]) == {"big", "three", "two"}
    assert set(metrics["topics"]["three"]) == {"finetune", "kd"}
    assert metrics["topics"]["big"]["teacher"]["score"] == findings.of("topics")[0].score
    assert metrics["topics"]["two"]["kd"]["latency_ms"][INT8] == pytest.approx(2.0)

    def leaves(value: Any) -> list[Any]:
        return [leaf for inner in value.values() for leaf in leaves(inner)] if isinstance(value, dict) else [value]

    assert all(isinstance(leaf, int | float) for leaf in leaves(metrics))


def test_curves_hold_the_dev_score_of_every_run(made: tuple[Plan, Path]) -> None:
    rows = list(csv.DictReader(io.StringIO(output(made, "curves.csv"))))
    assert list(rows[0]) == list(data.CURVE_COLUMNS)
    assert len(rows) == 18 * 3, "18 models, 3 evaluations each"
    assert {row["metric"] for row in rows} == {"accuracy"}
    (folder,) = cells(made, task="topics", method="kd", student="two", seed=1)
    history = pd.read_parquet(folder / "history.parquet")
    wanted = history[(history["split"] == "dev") & (history["name"] == "accuracy")]["value"]
    own = ("topics", "two", "kd", "1")
    found = [row["value"] for row in rows if (row["task"], row["student"], row["method"], row["seed"]) == own]
    assert [float(value) for value in found] == pytest.approx(wanted.to_list())


def test_rejected_exports_stay_out_of_numbers_and_are_listed(tmp_path: Path) -> None:
    def reject(export: Any) -> bool:
        return (export.labels["task"], export.labels["method"], export.labels["runtime"]) == ("reviews", "kd", INT8)

    collected = collect(*fabricate_results(tmp_path, reject=reject))
    found = find(collected)
    kd = data.metrics(found)["reviews"]["three"]["kd"]
    assert INT8 not in kd["latency_ms"]
    assert INT8 in data.metrics(found)["reviews"]["three"]["finetune"]["latency_ms"]
    assert not any(p.runtime == INT8 and p.line.labels["method"] == "kd" for p in points(found, "reviews"))
    listed = rejected_table(found)
    assert listed is not None
    assert [row[1].text for row in listed.rows] == ["three", "two"]
    assert "logits differ" in listed.rows[0][-1].text
    assert "Rejected exports" in render(found)


def test_one_seed_has_no_spread_and_the_report_says_so(tmp_path: Path) -> None:
    plan, results = fabricate_results(tmp_path, overlay={"grid": {"seeds": [3], "tasks": ["reviews"]}})
    report(plan=plan, results=results, out=results / plan.report.folder)
    assert table_csv((plan, results))["score_std"].isna().all()
    assert "one seed only, so no spread is known" in output((plan, results), "table.md")
    assert "one seed only" in output((plan, results), "report.html")
    assert "(\u00b1 \u2013, n=1)" in output((plan, results), "table.md")


def test_axes_that_vary_tell_lines_apart(tmp_path: Path) -> None:
    overlay = {"grid": {"tasks": ["reviews"], "fractions": [0.1, 1.0], "seeds": [0], "students": ["two"]}}
    skill = {("finetune", 0.1): 0.2, ("kd", 0.1): 0.4, ("finetune", 1.0): 0.9, ("kd", 1.0): 0.8}
    fabricated = fabricate_results(
        tmp_path, overlay=overlay, skill=lambda labels: skill.get((labels["method"], labels.get("fraction")), 1.3)
    )
    found = find(collect(*fabricated))
    assert set(data.metrics(found)["reviews"]) == {"big", "two (10 % of rows)", "two (100 % of rows)"}
    pairs = {key[-1]: difference.value for key, difference in found.differences.items()}
    scores = {(line.labels["method"], line.labels["fraction"]): line.score for line in found.lines}
    assert pairs == {f: pytest.approx(scores["kd", f] - scores["finetune", f]) for f in (0.1, 1.0)}


def test_without_the_baseline_nothing_is_compared(tmp_path: Path) -> None:
    overlay = {"grid": {"tasks": ["reviews"], "methods": ["kd"], "students": ["two"]}}
    found = find(collect(*fabricate_results(tmp_path, overlay=overlay)))
    assert found.differences == {}
    assert outcomes(found)[0].comparison == "finetune was not run, so methods have no baseline."


def test_damaged_files_are_named_and_weights_are_not_read(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, results = made
    copied = tmp_path / "results"
    shutil.copytree(results, copied)
    folder = copied / plan.students[0].folder
    (folder / "model.safetensors").write_bytes(b"cut short")
    collect(plan, copied)
    (folder / "predictions.parquet").write_bytes(b"cut short")
    with pytest.raises(UserError, match=re.escape(str(folder / "predictions.parquet"))):
        collect(plan, copied)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=f"1 of its .* are not in .*{re.escape(str(folder.relative_to(copied)))}; run"):
        collect(plan, copied)


def test_publish_copies_atomically_and_leaves_equal_files_alone(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, results = made
    copied = tmp_path / "results"
    with pytest.raises(UserError, match="is not made; run the grid first, or name the file of the one that was run"):
        publish(plan=plan, results=copied)
    shutil.copytree(results / plan.report.folder, copied / plan.report.folder)
    page = publish(plan=plan, results=copied)
    assert page == copied / "latest" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == sorted(PUBLISHED)
    assert all((copied / stage.folder).is_dir() for stage in STAGES.values()), "DVC wants all of its outputs"
    before = {path.name: path.stat().st_mtime_ns for path in page.parent.iterdir()}
    page.write_text("old")
    publish(plan=plan, results=copied)
    after = {path.name: path.stat().st_mtime_ns for path in page.parent.iterdir()}
    original = output(made, "report.html").replace('href="../../', 'href="../')
    assert page.read_text(encoding="utf-8") == original, "links are those of a page that lies one folder higher"
    assert [name for name in PUBLISHED if before[name] != after[name]] == ["report.html"]
