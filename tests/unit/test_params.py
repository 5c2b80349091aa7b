"""Parameters: strict keys, readable complaints, overlays, the schema file, the shipped parameter files."""

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from distilgrid.core.errors import UserError
from distilgrid.core.project import parse_yaml, read_yaml
from distilgrid.core.schema import Settings, deep_merge
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.methods.registry import presets
from distilgrid.plan.names import signal_named
from distilgrid.plan.params import Params, json_schema, load_params, parse_params, schema_text
from distilgrid.reporting.claims.schema import Published
from distilgrid.signals.mixed.plan import Mixup
from distilgrid.training.settings import WHOLE_RUN, Training

ROOT = Path(__file__).parents[2]
ON_TOP = {"annealing_kd_bert": "annealing_kd", "annealing_kd_cifar100": "annealing_kd_cifar10"}
ON_TOP |= {"annealing_kd_cifar10_mini": "annealing_kd_cifar10", "annealing_kd_digits": "annealing_kd_mini"}
ON_TOP |= {"kd_nas_hidden": "kd_nas", "estimators_mini": "kd_nas_mini", "kd_nas_mini_qnli": "kd_nas_mini"}
ON_TOP |= {"compiler_aware_mini_qnli": "compiler_aware_mini"}
ON_TOP |= {"runtimes_quick_mini": "runtimes_mini", "runtimes_narrow_mini": "runtimes_quick_mini"}
ON_TOP |= {"runtimes_fusion_mini": "runtimes_mini"}
OVERLAYS = sorted(path for path in (ROOT / "grids").glob("*.yaml") if not path.name.endswith(".claims.yaml"))
Values = dict[str, Any]


def below(overlay: Path) -> list[Path]:
    """The files that an overlay lies upon, the lowest first."""
    if overlay.stem not in ON_TOP:
        return [ROOT / "params.yaml"]
    lower = overlay.with_name(f"{ON_TOP[overlay.stem]}.yaml")
    return [*below(lower), lower]


def changed(values: Values, dotted: str, value: object) -> Values:
    """A copy of the values with one of them set."""
    values = copy.deepcopy(values)
    node = values
    *above, last = dotted.split(".")
    for part in above:
        node = node.setdefault(part, {})
    node[last] = value
    return values


def complaint(values: Values) -> str:
    with pytest.raises(UserError) as caught:
        parse_params(values, origin="mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml: ")
    assert "\n" not in message
    return message


def settings_models() -> list[type[BaseModel]]:
    found, queue = [], [Settings]
    while queue:
        below = queue.pop().__subclasses__()
        found += below
        queue += below
    return sorted(found, key=lambda model: model.__name__)


@pytest.mark.parametrize(
    ("dotted", "suggestion"),
    [
        ("trainin", "training"),
        ("grid.seed", "seeds"),
        ("data.max_train_row", "max_train_rows"),
        ("tasks.reviews.txt", "text"),
        ("teachers.tiny.sorce", "source"),
        ("students.half.layer", "layers"),
        ("students.half.architecture.hiden_size", "hidden_size"),
        ("methods.kd.alhpa", "alpha"),
        ("training.epoch", "epochs"),
        ("export.tolerence", "tolerance"),
        ("benchmark.repetition", "repetitions"),
        ("report.base_line", "baseline"),
        ("resources.thread", "threads"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tiny_values: Values, dotted: str, suggestion: str
) -> None:
    message = complaint(changed(tiny_values, dotted, 1))
    assert f"{dotted}: unknown key" in message
    assert f"did you mean '{suggestion}'?" in message


@pytest.mark.parametrize("place", ["teachers.tiny", "methods.kd"])
def test_an_unknown_training_override_is_refused(tiny_values: Values, place: str) -> None:
    message = complaint(changed(tiny_values, f"{place}.training", {"epoch": 1}))
    assert f"{place}.training" in message
    assert "did you mean 'epochs'?" in message


@pytest.mark.parametrize("name", WHOLE_RUN)
@pytest.mark.parametrize(("objective", "stage"), [("annealing_kd", "stage1"), ("hidden_kd", "task")])
def test_a_stage_cannot_set_what_is_of_the_whole_run(
    tiny_values: Values, name: str, objective: str, stage: str
) -> None:
    value = Training().model_dump()[name]
    message = complaint(changed(tiny_values, "methods.mine", {"objective": objective, stage: {name: value}}))
    assert message.endswith(f"{stage}: '{name}' is of the whole run, not of a stage; set it in the method's `training`")
    parse_params(changed(tiny_values, "methods.mine", {"objective": objective, "training": {name: value}}), origin="")


@pytest.mark.parametrize(("method", "stage"), [("AnnealingKD", "stage1"), ("HiddenKD", "hidden")])
def test_the_schema_of_a_stage_has_all_but_what_is_of_the_whole_run(method: str, stage: str) -> None:
    found = json_schema()["$defs"][method]["properties"][stage]
    assert set(found["properties"]) == set(Training.model_fields) - set(WHOLE_RUN)
    assert found["additionalProperties"] is False


@pytest.mark.parametrize(
    ("objective", "stage", "epochs"),
    [
        ("annealing_kd", "stage1", 14),
        ("annealing_kd", "stage2", 4),
        ("hidden_kd", "hidden", 5),
        ("hidden_kd", "task", 3),
    ],
)
def test_a_stage_keeps_its_epochs_unless_it_sets_them(
    tiny_values: Values, objective: str, stage: str, epochs: int
) -> None:
    def stages(given: object) -> object:
        values = changed(tiny_values, "methods.mine", {"objective": objective, stage: given})
        return getattr(parse_params(values, origin="").methods["mine"], stage)

    assert stages({"learning_rate": 0.5}) == {"epochs": epochs, "learning_rate": 0.5}
    assert stages({"epochs": 20}) == {"epochs": 20}
    assert stages({}) == {}, "all of the training section"


@pytest.mark.parametrize("values", [("alpha", [0.5, 0.5]), ("temperature", [2, 2.0])])
def test_a_search_tries_each_value_once(tiny_values: Values, values: tuple[str, list[float]]) -> None:
    tuning = {"alpha": [0.5], "temperature": [2]} | dict([values])
    message = complaint(changed(tiny_values, "methods.kd", {"objective": "kd", "tuning": tuning}))
    assert f"methods.kd.tuning.{values[0]}: each value can be tried once only" in message


@pytest.mark.parametrize(
    ("dotted", "given", "suggestion"),
    [
        ("augmentations.e", {"kind": "eda", "copis": 1}, "copies"),
        ("searches.s.controller", {"kind": "optuna", "samplr": "tpe"}, "sampler"),
        ("searches.s.estimator.method", {"objective": "kd", "alpah": 1}, "alpha"),
        ("methods.kd.tuning", {"alpah": [1]}, "alpha"),
    ],
)
def test_a_key_is_named_as_the_file_has_it(
    tiny_values: Values, dotted: str, given: dict[str, Any], suggestion: str
) -> None:
    if dotted.startswith("searches"):
        estimator = {"kind": "mini_kd", "share": 0.5, "epochs": 1}
        tiny_values["searches"] = {"s": {"space": "s.yaml", "controller": {"kind": "random"}, "estimator": estimator}}
    message = complaint(changed(tiny_values, dotted, given))
    assert f"{dotted}.{list(given)[-1]}: unknown key; did you mean '{suggestion}'?" in message


def test_suggestions_for_a_method_are_those_of_its_objective(tiny_values: Values) -> None:
    message = complaint(changed(tiny_values, "methods.kd.beta", 500))
    assert "methods.kd.beta: unknown key" in message
    assert "did you mean 'beta'" not in message


@pytest.mark.parametrize(
    ("dotted", "value", "named"),
    [
        ("training.epochs", 0, "training.epochs"),
        ("training.learning_rate", "fast", "training.learning_rate"),
        ("grid.fractions", [0.0], "grid.fractions.0"),
        ("grid.seeds", [], "grid.seeds"),
        ("grid.seeds", [0, 0], "seeds must list each value once"),
        ("grid.tasks", ["revews"], "did you mean 'reviews'?"),
        ("grid.teachers", ["tinny"], "did you mean 'tiny'?"),
        ("grid.methods", ["pdk"], "did you mean 'pkd'?"),
        ("grid.students", ["halve"], "did you mean 'half'?"),
        ("report.baseline", "finetun", "did you mean 'finetune'?"),
        ("methods.kd.objective", "kdd", "methods.kd.objective: unknown objective 'kdd'; did you mean 'kd'?"),
        ("methods.kd.alpha", 1.5, "methods.kd.alpha"),
        ("methods.kd.training", {"epochs": 0}, "methods.kd.training"),
        ("students.half.layers", 0, "students.half"),
        ("students.half.layers", [1, 1], "students.half"),
        ("students.half", {"layers": 2, "architecture": {"num_hidden_layers": 2}}, "either layers or architecture"),
        ("students.half", {"source": "hub:a@1", "init": "finetuned"}, "students.half"),
        ("tasks.reviews.source", "reviews.csv", "csv:..."),
        ("tasks.reviews.metrics", ["accurracy"], "tasks.reviews: metrics: kind: label has no"),
        ("tasks.reviews.metrics", ["pearson"], "kind: label has no 'pearson'; kind: number has it"),
        ("tasks.reviews.labels", ["only"], "at least two"),
        ("tasks.reviews.validation", ["dev"], "other than train and dev"),
        ("tasks.reviews.validation", ["../outside"], "plain"),
        ("tasks.reviews.validation_source", "parquet:x.parquet", "validation_source must be a 'csv:' file"),
        ("tasks.reviews", {"source": "csv:a", "text": ["a", "b", "c"]}, "tasks.reviews.text"),
        ("benchmark.runtimes", ["onnx"], "benchmark.runtimes.0"),
        ("data", None, "data"),
    ],
)
def test_a_bad_value_is_refused_with_its_key(tiny_values: Values, dotted: str, value: object, named: str) -> None:
    assert named in complaint(changed(tiny_values, dotted, value))


def test_a_missing_section_is_named(tiny_values: Values) -> None:
    del tiny_values["students"]
    assert "students" in complaint(tiny_values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("", "grid: Field required"),
        ("- a\n- b\n", "must hold a mapping"),
        ("grid: [1\nmethods", "not valid YAML"),
    ],
)
def test_an_unreadable_file_is_named_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        load_params([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", settings_models(), ids=lambda model: model.__name__)
def test_every_setting_has_a_description(model: type[BaseModel]) -> None:
    assert [name for name, info in model.model_fields.items() if not info.description] == []


def numbers(model: type[BaseModel]) -> list[tuple[str, bool]]:
    """The settings of a model that are one number, and whether it is a whole one."""
    found = []
    for name, field in model.model_json_schema()["properties"].items():
        kinds = {option.get("type") for option in (field, *field.get("anyOf", []))}
        if kinds & {"integer", "number"} and not kinds & {"string", "boolean"}:
            found.append((name, "integer" in kinds))
    return found


@pytest.mark.parametrize(
    ("model", "name", "whole"),
    [(model, *each) for model in settings_models() if model is not Published for each in numbers(model)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_is_no_finite_number_is_none_in_any_setting(model: type[BaseModel], name: str, whole: bool) -> None:
    for bad in [True, "1", "1e-4", math.inf, -math.inf, math.nan, *([2.0, 2.5, 10**23] if whole else [])]:
        with pytest.raises(ValidationError) as caught:
            model.model_validate({name: bad})
        assert name in {part for error in caught.value.errors() for part in error["loc"]}, bad


@pytest.mark.parametrize(
    ("dotted", "text", "line"),
    [
        ("training.epochs", "yes", "training.epochs: Input should be a valid integer (found 'yes')"),
        ("training.epochs", "true", "training.epochs: Input should be a valid integer (found True)"),
        ("training.epochs", "2.0", "training.epochs: Input should be a valid integer (found 2.0)"),
        ("training.batch_size", "'16'", "valid integer (found '16'; write the number without quotes)"),
        ("training.learning_rate", ".inf", "training.learning_rate: Input should be a finite number (found inf)"),
        ("methods.kd.temperature", ".inf", "methods.kd.temperature: Input should be a finite number (found inf)"),
        ("methods.kd.temperature", "on", "methods.kd.temperature: Input should be a valid number (found 'on')"),
        (
            "methods.kd.training",
            "{learning_rate: .inf}",
            "kd.training: learning_rate: Input should be a finite",
        ),
        ("teachers.tiny.training", "{epochs: yes}", "teachers.tiny.training: epochs: Input should be a valid integer"),
        ("grid.fractions", "[.nan]", "grid.fractions.0: Input should be a finite number (found nan)"),
        ("grid.seeds", "[yes]", "grid.seeds.0: Input should be a valid integer (found 'yes')"),
        ("report.confidence", "'0.9'", "valid number (found '0.9'; write the number without quotes)"),
        ("benchmark.repetitions", "1e3", "benchmark.repetitions: Input should be a valid integer (found 1000.0)"),
        (
            "grid.seeds",
            "[99999999999999999999999]",
            "grid.seeds.0: Input should be less than or equal to 4294967295",
        ),
        ("training.batch_size", "9007199254740993", "training.batch_size: Input should be less than or equal to 900"),
        (
            "training.epochs",
            "1000000000",
            "training.epochs: Input should be less than or equal to 100000 (found 1000000",
        ),
        ("data.seed", "4294967296", "data.seed: Input should be less than or equal to 4294967295 (found 4294967296)"),
    ],
)
def test_a_value_that_is_no_number_is_named(tiny_values: Values, dotted: str, text: str, line: str) -> None:
    assert line in complaint(changed(tiny_values, dotted, parse_yaml(text, origin="text")))


@pytest.mark.parametrize("name", ["a" * 20, "x" + "ab" * 20, "run-" + "0" * 30])
def test_a_name_that_snakemake_takes_for_a_loop_is_refused(tiny_values: Values, name: str) -> None:
    """PeriodicWildcardError, once its jobs are listed."""
    assert "must not end in the same characters 20 times" in complaint(changed(tiny_values, "grid.name", name))
    assert parse_params(changed(tiny_values, "grid.name", f"{name}x"), origin="tiny").grid.name == f"{name}x"


def test_settings_cannot_change(tiny_values: Values) -> None:
    params = parse_params(tiny_values, origin="tiny")
    with pytest.raises(ValueError, match="frozen"):
        params.data.seed = 3


def test_an_overlay_merges_mappings_and_replaces_lists(
    tmp_path: Path, tiny_values: Values, tiny_params_file: Path
) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("grid: {seeds: [7]}\nmethods: {kd: {alpha: 0.5}}\ntraining: {epochs: 9}\n")
    params = load_params([tiny_params_file, overlay])
    assert params.grid.seeds == [7]
    assert params.grid.name == "tiny"
    assert params.methods["kd"].model_dump(include={"objective", "alpha"}) == {"objective": "kd", "alpha": 0.5}
    assert set(params.methods) == {*tiny_values["methods"], *presets()}
    assert (params.training.epochs, params.training.batch_size) == (9, 16)


def test_presets_need_no_definition_and_keep_their_values_under_an_overlay(tiny_values: Values) -> None:
    tiny_values["grid"]["methods"] = ["finetune", "sm-tmkd", "tmkd"]
    tiny_values["methods"] = {"tmkd": {"alpha_tmkd": 2, "mixup": {"beta": 1}}, "kd": {"objective": "kd", "alpha": 1}}
    methods = parse_params(tiny_values, origin="test").methods
    assert methods["sm-tmkd"] == MixKD()
    assert methods["tmkd"] == MixKD(alpha_sm=0, alpha_tmkd=2, mixup=Mixup(beta=1))
    assert methods["kd"] == KD(alpha=1)


def test_baselines_join_a_grid_of_other_methods(tiny_values: Values) -> None:
    def methods(**grid: Any) -> list[str]:
        return parse_params(tiny_values | {"grid": tiny_values["grid"] | grid}, origin="test").grid.methods

    assert methods(methods=["tmkd", "kd"]) == ["finetune", "pkd", "tmkd", "kd"]
    assert methods(methods=["tmkd"], baselines=["kd"]) == ["kd", "tmkd"]
    assert methods(methods=["tmkd"], baselines=[]) == ["tmkd"]
    assert methods(methods=["kd"]) == ["kd"], "a baseline alone stays alone"
    tiny_values["students"]["half"] = {"architecture": {"hidden_size": 16}}
    assert methods(methods=["tmkd"]) == ["finetune", "kd", "tmkd"], "pkd wants the teacher's width"
    with pytest.raises(UserError, match=r"grid.baselines: unknown method 'kdd'; did you mean 'kd'"):
        methods(baselines=["kdd"])


def test_an_unknown_augmentation_and_a_taken_name_are_refused(tiny_values: Values) -> None:
    tiny_values["augmentations"] = {"eda": {"kind": "eda"}}
    tiny_values["grid"]["augmentations"] = ["none", "edda"]
    with pytest.raises(UserError, match=r"grid.augmentations: unknown augmentation 'edda'; did you mean 'eda'"):
        parse_params(tiny_values, origin="test")
    tiny_values["augmentations"] = {"none": {"kind": "eda"}}
    with pytest.raises(UserError, match="choose another name"):
        parse_params(tiny_values, origin="test")


def test_overlays_merge_as_snakemake_merges_them() -> None:
    snakemake = pytest.importorskip("snakemake.utils")
    base = {"a": {"b": {"c": 1, "d": [1, 2, 3]}, "e": 5}, "f": [{"g": 1}], "h": None, "i": "text"}
    overlay = {"a": {"b": {"d": [9]}, "new": {"x": {"y": 0}}}, "f": [], "h": 4, "i": [1], "j": {}}
    expected = copy.deepcopy(base)
    snakemake.update_config(expected, copy.deepcopy(overlay))
    kept = copy.deepcopy(base)
    assert deep_merge(base, overlay) == expected
    assert base == kept


def test_the_schema_file_is_the_one_the_code_makes() -> None:
    stored = (ROOT / "src/distilgrid/workflow/schemas/params.schema.json").read_text(encoding="utf-8")
    assert stored == schema_text(), "run: distilgrid schema --out src/distilgrid/workflow/schemas/params.schema.json"


def test_the_schema_accepts_what_the_models_accept(tiny_values: Values) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(tiny_values)
    for dotted in ("trainin", "methods.kd.alhpa", "training.epoch", "students.half.layer"):
        assert not validator.is_valid(changed(tiny_values, dotted, 1)), dotted


def test_parameters_survive_a_round_trip(tiny_values: Values) -> None:
    params = parse_params(tiny_values, origin="tiny")
    again = yaml.safe_load(yaml.safe_dump(json.loads(params.model_dump_json())))
    assert parse_params(again, origin="copy") == params


@pytest.mark.parametrize("overlay", [None, *OVERLAYS], ids=lambda p: p.stem if p else "default")
def test_the_shipped_parameters_are_valid(overlay: Path | None) -> None:
    files = [ROOT / "params.yaml"] if overlay is None else [*below(overlay), overlay]
    params = load_params(files)
    assert isinstance(params, Params)
    if overlay is not None:
        assert params.grid.name != load_params(files[:-1]).grid.name, "an overlay needs a name for its report"
        commands = [line for line in overlay.read_text().splitlines() if "--configfile" in line]
        shown = " ".join(str(path.relative_to(ROOT)) for path in files[1:])
        assert commands and all(f"--configfile {shown}" in line for line in commands)


def test_a_setting_with_another_name_says_the_new_one() -> None:
    values = deep_merge(read_yaml(ROOT / "params.yaml"), {"methods": {"kd": {"search": {"alpha": [0.5]}}}})
    with pytest.raises(UserError, match=r"^test: methods\.kd: search has gone; write tuning"):
        parse_params(values, origin="test")


def test_a_method_without_a_preset_says_what_to_write() -> None:
    values = deep_merge(read_yaml(ROOT / "params.yaml"), {"grid": {"methods": ["hidden-kd"]}})
    with pytest.raises(UserError, match=r"methods: {hidden-kd: {objective: hidden_kd}}"):
        parse_params(values, origin="test")


@pytest.mark.parametrize(
    ("kind", "method", "said"),
    [
        (
            "zzz",
            None,
            "--kind: 'zzz' is none of logits, cls-states, hidden-states; for what a method wants, add --method",
        ),
        ("logits", "nope", "unknown method 'nope'"),
    ],
)
def test_a_recording_of_an_unknown_kind_is_refused(kind: str, method: str | None, said: str) -> None:
    params = load_params([ROOT / "params.yaml"])
    with pytest.raises(UserError, match=re.escape(said)):
        signal_named(params, kind, task="docs-topic", method=method, student=None)


def test_logits_are_recorded_whatever_student_is_named() -> None:
    params = load_params([ROOT / "params.yaml"])
    assert signal_named(params, "logits", task="docs-topic", method=None, student="minilm-l3").name == "logits"


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_more_threads_than_libraries_start_are_refused(tiny_values: dict[str, Any], name: str) -> None:
    tiny_values["resources"] = {name: 10**12}
    with pytest.raises(UserError, match=rf"resources\.{name}: .*less than or equal to 1024"):
        parse_params(tiny_values, origin="test")
