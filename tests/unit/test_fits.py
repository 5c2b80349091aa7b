"""What a plan refuses before any job runs, because it knows the files of the models."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.command_line import Run, one_line

from distilgrid.core.errors import UserError
from distilgrid.models.facts import check_loaded, known_facts
from distilgrid.models.shapes import Sizes
from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params

Values = dict[str, Any]
SPACE = {"layers": [2, 5], "hidden": [16], "heads": [4], "feed_forward": [16]}


@pytest.fixture
def refused(tiny_values: Values) -> Callable[[], str]:
    """The one line that a plan of the changed values ends in."""

    def call() -> str:
        with pytest.raises(UserError) as caught:
            expand(parse_params(tiny_values, origin="test"))
        return str(caught.value)

    return call


@pytest.fixture
def search(tiny_values: Values, tmp_path: Path) -> Values:
    """The settings of a search, which the grid compares."""
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    chosen = {"space": str(tmp_path / "space.yaml"), "controller": {"kind": "random"}}
    chosen |= {"estimator": {"kind": "mini_kd"}, "reward": {"kind": "score-latency"}}
    tiny_values["searches"] = {"mini": chosen}
    tiny_values["grid"]["searches"] = ["mini"]
    return chosen


def changed_model(folder: Path, origin: Path, **config: Any) -> str:
    """A copy of a model whose configuration says something else."""
    shutil.copytree(origin, folder)
    stored = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(stored))
    return f"path:{folder}"


LAYERS = "does not exist; the origin has layers 0 to 3"


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ({"layers": 99}, f"students.half.layers: 4 {LAYERS}"),
        ({"layers": [0, 7]}, f"students.half.layers: 7 {LAYERS}"),
        ({"layers": 5, "init": "scratch"}, f"students.half.layers: 4 {LAYERS}"),
        (
            {"architecture": {"num_hidden_layers": 3, "hidden_size": 30}, "init": "scratch"},
            "students.half.architecture: hidden_size 30 is not a multiple of num_attention_heads 4",
        ),
        (
            {"architecture": {"hidden_sizes": [32, 30], "intermediate_sizes": [8, 8]}},
            "students.half.architecture: 30 of hidden_sizes is not a multiple of num_attention_heads 4",
        ),
        (
            {"architecture": {"hidden_size": 16}},
            "students.half: pkd: a student of 4 layers and width 16 cannot",
        ),
        ({"architecture": {"num_hidden_layers": 5}}, "students.half: pkd: a student of 5 layers and width 32 cannot"),
        (
            {"architecture": {"hidden_sizes": [32, 16], "intermediate_sizes": [8, 8]}},
            "students.half: a model with layers of widths 32, 16 cannot imitate hidden states of one width",
        ),
    ],
)
def test_a_student_that_nobody_can_make_or_teach(
    tiny_values: Values, refused: Callable[[], str], student: Values, said: str
) -> None:
    tiny_values["students"]["half"] = student
    assert said in refused()


def test_a_baseline_that_joined_by_itself_can_be_left_out(tiny_values: Values, refused: Callable[[], str]) -> None:
    tiny_values["grid"]["methods"] = ["annealing-kd"]
    tiny_values["students"]["half"] = {"architecture": {"num_hidden_layers": 5}}
    said = refused()
    assert "pkd: a student of 5 layers and width 32 cannot imitate" in said
    assert said.endswith("; or leave the method out of grid.methods and grid.baselines")
    tiny_values["grid"]["baselines"] = ["finetune"]
    expand(parse_params(tiny_values, origin="test"))


def test_logits_teach_layers_of_any_width(tiny_values: Values) -> None:
    tiny_values["grid"] |= {"methods": ["kd"], "baselines": []}
    tiny_values["students"]["half"] = {"architecture": {"hidden_sizes": [32, 16], "intermediate_sizes": [8, 8]}}
    assert len(expand(parse_params(tiny_values, origin="test")).students) == 2


def test_a_student_deeper_than_the_states_it_imitates(tiny_values: Values, refused: Callable[[], str]) -> None:
    tiny_values["methods"] = {"deep": {"objective": "hidden_kd"}}
    tiny_values["grid"] |= {"methods": ["deep"], "baselines": []}
    tiny_values["students"]["half"] = {"architecture": {"num_hidden_layers": 5, "hidden_size": 16}}
    assert "students.half: hidden_kd: a student of 5 layers cannot imitate a teacher of 4" in refused()


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (
            {"inherit": "importance"},
            "students.half.inherit: importance knows BERT's weights, and not those of",
        ),
        (
            {"architecture": {"hidden_sizes": [32], "intermediate_sizes": [8]}},
            "students.half.architecture: hidden_sizes need a 'bert' as origin, not a 'electra'",
        ),
    ],
)
def test_an_origin_without_the_weights_that_a_student_inherits(
    tiny_values: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str], student: Values, said: str
) -> None:
    tiny_values["teachers"]["tiny"]["source"] = changed_model(tmp_path / "m", tiny_model, model_type="electra")
    tiny_values["grid"] |= {"methods": ["kd"], "baselines": []}
    tiny_values["students"]["half"] = {"architecture": {"num_hidden_layers": 2}, **student}
    assert said in refused()


def test_layers_that_differ_in_width_cannot_be_chosen_from(
    tiny_values: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str]
) -> None:
    source = changed_model(tmp_path / "m", tiny_model, hidden_sizes=[32, 32, 32, 16])
    tiny_values["teachers"]["tiny"]["source"] = source
    assert "its layers differ in width; set no layers or architecture" in refused()


@pytest.mark.parametrize("place", ["training", "teacher", "student", "search"])
def test_inputs_longer_than_a_models_positions(
    tiny_values: Values, search: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str], place: str
) -> None:
    more = {"max_length": 65}
    named = {"student": "students.half", "search": "searches.mini"}
    if place == "student":
        source = changed_model(tmp_path / "other", tiny_model)
        tiny_values["students"]["half"] = {"source": source, "layers": 2, "training": more}
    chosen = {"training": tiny_values, "teacher": tiny_values["teachers"]["tiny"], "search": search["estimator"]}
    if place in chosen:
        chosen[place]["training"] = {**chosen[place].get("training", {}), **more}
    said = refused()
    assert said.startswith(f"{named.get(place, 'teachers.tiny')}: model source 'path:")
    assert "positions for 64 tokens, but training.max_length is 65; set it to 64 or less" in said


def test_a_live_teacher_reads_what_its_student_reads(
    tiny_values: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str]
) -> None:
    source = changed_model(tmp_path / "other", tiny_model, max_position_embeddings=128)
    tiny_values["methods"]["kd"]["teacher"] = "live"
    tiny_values["grid"] |= {"methods": ["kd"], "baselines": []}
    tiny_values["students"]["half"] = {"source": source, "layers": 2, "training": {"max_length": 100}}
    assert "has positions for 64 tokens, but training.max_length is 100" in refused()


def test_positions_of_some_models_begin_after_the_padding(
    tiny_values: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str]
) -> None:
    source = changed_model(tmp_path / "m", tiny_model, model_type="roberta", pad_token_id=1)
    tiny_values["teachers"]["tiny"]["source"] = source
    tiny_values["training"]["max_length"] = 63
    assert "positions for 62 tokens" in refused()
    tiny_values["training"]["max_length"] = 62
    expand(parse_params(tiny_values, origin="test"))


def test_states_of_tokens_want_the_teachers_tokeniser(
    tiny_values: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str]
) -> None:
    source = changed_model(tmp_path / "other", tiny_model)
    tiny_values["methods"] = {"deep": {"objective": "hidden_kd"}}
    tiny_values["grid"] |= {"methods": ["deep"], "baselines": []}
    tiny_values["students"]["half"] = {"source": source, "layers": 2}
    expand(parse_params(tiny_values, origin="test"))  # the same vocabulary in another folder
    stored = json.loads((tmp_path / "other" / "tokenizer.json").read_text())
    words = stored["model"]["vocab"]
    words["good"], words["bad"] = words["bad"], words["good"]
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(stored))
    assert f"students.half: hidden states are those of tokens, and model source '{source}' has another" in refused()


def test_a_tokeniser_of_more_tokens_than_the_embedding_has_rows(
    tiny_values: Values, tiny_model: Path, tmp_path: Path, refused: Callable[[], str]
) -> None:
    known = known_facts(f"path:{tiny_model}")
    assert known is not None and known.tokens == known.config["vocab_size"]
    tiny_values["teachers"]["tiny"]["source"] = changed_model(tmp_path / "m", tiny_model, vocab_size=20)
    assert f"the tokeniser has {known.tokens} tokens, but the model's embedding has 20 rows" in refused()


def test_a_model_of_the_hub_is_known_once_it_is_on_this_machine(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source = "hub:someone/tiny@0123456789abcdef0123456789abcdef01234567"
    assert known_facts(source) is None and known_facts("hub:no/such/name@0123456") is None
    shutil.copytree(tiny_model, tmp_path / "models--someone--tiny" / "snapshots" / source.partition("@")[2])
    found = known_facts(source)
    assert found is not None and found.sizes == Sizes(4, 32) and found.origin == f"model source '{source}'"


def test_a_loaded_model_is_asked_the_same(tiny_model: Path) -> None:
    from distilgrid.models.io import CLASSIFIER, load_model, load_tokenizer

    model, tokenizer = load_model(tiny_model, outputs=2, auto=CLASSIFIER), load_tokenizer(tiny_model)
    rows = model.config.vocab_size
    check_loaded(model, tokenizer, 64)
    check_loaded(model, None, 1)
    with pytest.raises(UserError, match=r"positions for 64 tokens, but training\.max_length is 65"):
        check_loaded(model, tokenizer, 65)
    tokenizer.add_tokens(["another"])
    with pytest.raises(
        UserError, match=f"the tokeniser has {rows + 1} tokens, but the model's embedding has {rows} rows"
    ):
        check_loaded(model, tokenizer, 64)


def test_a_space_deeper_than_the_teacher_whose_states_are_imitated(search: Values, refused: Callable[[], str]) -> None:
    search["estimator"] |= {"method": {"objective": "hidden_kd", "task": None}}
    assert "searches.mini: hidden_kd: a student of 5 layers cannot imitate a teacher of 4" in refused()


def test_a_space_without_any_architecture_that_is_small_enough(search: Values, refused: Callable[[], str]) -> None:
    search["max_size_share"] = 0.001
    said = "searches.mini: max_size_share 0.001: no architecture is that small; the smallest of 2, 2L-16H"
    assert refused().startswith(said)


@pytest.mark.parametrize(
    ("kind", "estimator", "said"),
    [
        ("electra", {"kind": "supernet"}, "a supernet needs a BERT as its origin, and this is a 'electra'"),
        ("electra", {"kind": "mini_kd"}, "importance knows BERT's weights, and not those of a 'electra'"),
    ],
)
def test_a_search_whose_origin_has_other_weights(
    tiny_values: Values,
    search: Values,
    tiny_model: Path,
    tmp_path: Path,
    refused: Callable[[], str],
    kind: str,
    estimator: Values,
    said: str,
) -> None:
    search["estimator"] = estimator
    tiny_values["teachers"]["tiny"]["source"] = changed_model(tmp_path / "m", tiny_model, model_type=kind)
    assert said in refused()


def test_a_found_student_of_another_width_than_every_state_it_would_imitate(
    tiny_values: Values, search: Values, refused: Callable[[], str]
) -> None:
    tiny_values["students"]["half"] = {"found": {"search": "mini"}}
    assert "students.half: pkd: a student of 2 layers and width 16 cannot imitate a teacher of 4 layers" in refused()


def test_a_plan_says_it_in_one_line(tiny_values: Values, tmp_path: Path, run: Run) -> None:
    tiny_values["students"]["half"] = {"layers": 99}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_values))
    assert "students.half.layers: 4" in one_line(run("plan", "--params", tmp_path / "params.yaml"))


@pytest.mark.chain
def test_jobs_by_hand_say_it_in_one_line(
    tiny_values: Values, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of parameters may change between two commands."""
    tiny_values["teachers"]["tiny"]["training"] = {"epochs": 1, "max_length": 64}
    texts = {"kind": "unlabelled", "texts": ["more"], "labels": "teacher"}
    tiny_values["augmentations"] = {"more": texts}
    rows = "".join(f"a lovely film number {number}\n" for number in range(20))
    (tmp_path / "more.csv").write_text(f"text,sentiment\n{rows.replace(chr(10), ',positive' + chr(10))}")
    tiny_values["tasks"]["more"] = tiny_values["tasks"]["reviews"] | {"source": f"csv:{tmp_path / 'more.csv'}"}
    params, data, teacher = tmp_path / "params.yaml", tmp_path / "data", tmp_path / "teacher"
    named = ["--task", "reviews", "--teacher", "tiny", "--data", data, "--params", params]

    def call(*words: object, **training: Any) -> tuple[int, str, str]:
        tiny_values["teachers"]["tiny"]["training"] |= training
        params.write_text(yaml.safe_dump(tiny_values))
        capsys.readouterr()
        return run(*words)

    assert call("prepare", "--task", "reviews", "--out", data, "--params", params)[0] == 0
    longer = "has positions for 64 tokens, but training.max_length is 70; set it to 64 or less"
    assert longer in call("finetune", *named, "--out", teacher, max_length=70)[2].splitlines()[-1]
    assert call("finetune", *named, "--out", teacher, max_length=64)[0] == 0
    for stage, own in {"record": [], "augment": ["--augmentation", "more"]}.items():
        code, _, errors = call(stage, *named, *own, "--teacher-dir", teacher, "--out", tmp_path / stage, max_length=70)
        assert code == 2 and longer in errors.splitlines()[-1]
