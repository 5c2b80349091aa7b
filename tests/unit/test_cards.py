"""Cards: each model and data set of a grid has one, with its recorded scores and the licence its source states."""

import errno
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard, ModelCard
from markdown_it import MarkdownIt
from tests.unit.fabricate import fabricate_results

from distilgrid.cards.licences import front_matter, model_terms, package_licence, task_terms
from distilgrid.cards.write import write_cards
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params
from distilgrid.tasks.spec import TaskSpec, builtin_tasks

NOTED = {"note": "it saw such texts before"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, Path]:
    """A grid, its results, its cards."""
    plan, results = fabricate_results(tmp_path_factory.mktemp("cards"), overlay={"teachers": {"big": NOTED}})
    out = results / "cards"
    assert write_cards(plan=plan, results=results, out=out) == len(list(out.rglob("README.md")))
    return plan, results, out


def test_every_model_and_data_set_has_a_card_that_the_hub_can_read(made: tuple[Plan, Path, Path]) -> None:
    plan, _, out = made
    for model in [*plan.teachers, *plan.students]:
        assert ModelCard.load(out / model.folder / "README.md").data.library_name == "transformers"
    for data in plan.data.values():
        assert DatasetCard.load(out / data.folder / "README.md").data.task_categories == ["text-classification"]


def test_cards_say_which_rows_splits_share(made: tuple[Plan, Path, Path]) -> None:
    plan, results, out = made
    student = plan.students[0]
    data = plan.data[student.labels["task"]]
    found = json.loads((results / data.folder / "dataset.json").read_text())["alike"]
    text = (out / data.folder / "README.md").read_text()
    assert f"| {found['left_out']['train']} | \u2013 | 0 |" in text and "Jaccard index of 0.7" in text
    assert (
        "- Rows of validation that are like rows of other splits: train"
        in (out / student.folder / "README.md").read_text()
    )


def test_its_scores_are_the_recorded_ones_of_every_split(made: tuple[Plan, Path, Path]) -> None:
    plan, results, out = made
    for model in plan.students:
        recorded = json.loads((results / model.folder / "metrics.json").read_text())["validation"]
        found = ModelCard.load(out / model.folder / "README.md").data.eval_results or []
        told = {(each.dataset_split, each.metric_type): each.metric_value for each in found}
        names = {"matthews": "matthews_correlation"}
        wanted = {(split, names.get(m, m)): v for split, scores in recorded.items() for m, v in scores.items()}
        assert told == pytest.approx(wanted, abs=1e-6)


def test_the_text_says_how_it_was_made_and_what_it_may_be_used_for(made: tuple[Plan, Path, Path]) -> None:
    plan, _, out = made
    student = plan.students[0]
    text = (out / student.folder / "README.md").read_text()
    assert f"distilgrid distill {student.arguments('results')}" in text
    assert '"num_hidden_layers"' not in text
    assert "Licence of the data: unknown" in text
    assert "onnxruntime-int8" in text
    assert "- it saw such texts before.\n" in text
    (teacher,) = [t for t in plan.teachers if t.labels["task"] == student.labels["task"]]
    assert teacher.folder in text or student.labels["method"] == "finetune"


ODD = {"reviews": ("good|bad", "<img src=x>`*"), "topics": ("culture", "_a_ ![x](y)", "~~sport~~")}


@pytest.mark.parametrize("record", ["{}", "{"])
def test_words_of_people_are_not_replaced(made: tuple[Plan, Path, Path], tmp_path: Path, record: str) -> None:
    plan, results, before = made
    out = shutil.copytree(before, tmp_path / "cards")
    older, edited = sorted(out.rglob("README.md"))[:2]
    edited.write_text(edited.read_text() + "Not for medical use.\n")
    with pytest.raises(UserError, match=rf"{edited}: was written or edited by somebody; .*\(--out\)$"):
        write_cards(plan=plan, results=results, out=out)
    assert edited.read_text().endswith("Not for medical use.\n")
    (out / ".cards.json").write_text(record)  # a folder of before, or a damaged record
    with pytest.raises(UserError, match="edited by somebody"):
        write_cards(plan=plan, results=results, out=out)
    edited.unlink()
    assert write_cards(plan=plan, results=results, out=out) == len(list(out.rglob("README.md")))
    (out / ".cards.json").write_text(json.dumps({str(older.relative_to(out)): file_sha256(edited)}))
    shutil.copy(edited, older)  # as if it had been written so before
    write_cards(plan=plan, results=results, out=out)
    assert older.read_bytes() == (before / older.relative_to(out)).read_bytes()


def test_a_file_of_somebody_else_is_not_replaced(made: tuple[Plan, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "licences.md").write_text("mine")
    with pytest.raises(UserError, match=r"licences\.md: was written"):
        write_cards(plan=made[0], results=made[1], out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["licences.md"]


def test_cards_that_a_full_disk_stopped_are_written_by_the_same_command(
    made: tuple[Plan, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if len(list(tmp_path.rglob("README.md"))) < 2:
            return write(path, content)
        write(path, content[:100])
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="no space left"):
        write_cards(plan=made[0], results=made[1], out=tmp_path)
    monkeypatch.undo()
    assert write_cards(plan=made[0], results=made[1], out=tmp_path) == len(list(made[2].rglob("README.md")))


def test_labels_and_notes_are_never_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.fabricate.LABELS", ODD)
    overlay = {"teachers": {"big": {"note": "it saw <b>such</b> texts | before"}}}
    plan, results = fabricate_results(tmp_path, overlay=overlay)
    write_cards(plan=plan, results=results, out=results / "cards")
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for made in [*plan.data.values(), *plan.students]:
        text = (results / "cards" / made.folder / "README.md").read_text().partition("\n---\n")[2]
        page = reader.render(text)
        assert not {"<img", "<b>", "<em>", "<s>"} & set(re.findall(r"<\w+>?", page))
        shown = html.unescape(re.sub("<[^>]*>", "", page))
        for label in ODD[made.labels["task"]]:
            assert label in shown
        assert "it saw <b>such</b> texts | before" in shown or made in plan.data.values()
    for task, made in plan.data.items():
        page = reader.render((results / "cards" / made.folder / "README.md").read_text())
        assert {row.count("<td") for row in re.findall("<tr>.*?</tr>", page, re.DOTALL)} == {0, 8}, task


def test_a_licence_is_taken_from_the_card_beside_the_weights(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    source = f"path:{tmp_path}"
    assert model_terms(source).licence == "unknown"
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    assert model_terms(source).licence == "apache-2.0"
    assert model_terms("new:resnet-8").licence == "none needed"


@pytest.mark.parametrize("text", ["", "# no block", "---\nlicense: [\n---\n", "---\n- a list\n---\n", "---\n"])
def test_a_card_without_a_readable_block_tells_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    assert front_matter(tmp_path / "README.md") == {}


def test_packages_state_their_licences() -> None:
    assert "BSD" in package_licence("networkx") or "3-Clause" in package_licence("networkx")
    assert "Apache" in package_licence("transformers")


def test_built_in_tasks_say_what_is_known_of_their_data() -> None:
    for name, spec in builtin_tasks().items():
        assert task_terms(spec).licence != "unknown", name


def test_a_licence_changes_no_key(tiny_values: dict[str, Any]) -> None:
    before = expand(parse_params(tiny_values, origin="test"))
    tiny_values["tasks"]["reviews"] |= {"licence": "CC0-1.0", "homepage": "https://example.org"}
    after = expand(parse_params(tiny_values, origin="test"))
    assert [a.key for a in after.students] == [a.key for a in before.students]
    assert task_terms(TaskSpec(**tiny_values["tasks"]["reviews"])).licence == "CC0-1.0"


def test_texts_that_another_task_lends_are_listed_with_their_licence(tmp_path: Path) -> None:
    lent = {"kind": "unlabelled", "texts": ["topics"]}
    grid = {"tasks": ["reviews"], "augmentations": ["none", "pool"]}
    overlay = {"grid": grid, "augmentations": {"pool": lent}, "tasks": {"topics": {"licence": "CC-BY-4.0"}}}
    plan, results = fabricate_results(tmp_path, overlay=overlay)
    write_cards(plan=plan, results=results, out=tmp_path / "cards")
    assert "| topics (texts of pool) | data | CC-BY-4.0 |" in (tmp_path / "cards" / "licences.md").read_text()
