"""Facts of a pretrained model that its `config.json` and its tokeniser's file state. Light: no torch here.

A plan asks before any job runs, and a job asks again of the model that it has loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.models.settings import Student
from distilgrid.models.shapes import Sizes, layer_numbers
from distilgrid.models.source import CONFIG, is_new, model_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.tasks.batching import Tokenizer

BERT_LAYOUT = ("bert", "roberta", "xlm-roberta", "camembert")
"""Model types whose weights have BERT's names."""
MIXED_WIDTHS = "hidden_sizes"
"""Field of a configuration whose layers differ in width."""
SHIFTED_POSITIONS = (
    *("camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
)
"""Model types whose position numbers start after the padding id."""
OTHER_NAMES = {
    "num_hidden_layers": ("n_layers", "n_layer", "num_layers"),
    "hidden_size": ("dim", "n_embd", "d_model"),
    "num_attention_heads": ("n_heads", "n_head"),
}
"""Names of sizes in the configurations of some model types."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without loading it."""

    origin: str  # its source, or its folder
    config: Mapping[str, Any]  # its `config.json`
    tokens: int | None = None  # of its tokeniser; None where unknown
    vocabulary: str | None = None  # fingerprint of the tokeniser's vocabulary; None where unknown

    @property
    def kind(self) -> str:
        """The model type."""
        return str(self.config.get("model_type"))

    @property
    def sizes(self) -> Sizes | None:
        """Layers and width; None where the configuration does not say them."""
        layers, hidden = self.size("num_hidden_layers"), self.size("hidden_size")
        return None if layers is None or hidden is None else Sizes(layers, hidden)

    def size(self, name: str) -> int | None:
        """A size by its name in BERT's configuration; None where the configuration does not say it."""
        found = next((self.config[each] for each in (name, *OTHER_NAMES.get(name, ())) if each in self.config), None)
        return found if isinstance(found, int) else None

    def check_reading(self, max_length: int) -> None:
        """Refuse inputs longer than the positions, and a tokeniser of more tokens than the embedding has rows.

        Raises UserError naming the model and what to change.
        """
        longest, rows = longest_input(self.config), self.config.get("vocab_size")
        if longest is not None and max_length > longest:
            said = f"the model has positions for {longest} tokens, but training.max_length is {max_length}"
            raise UserError(f"{self.origin}: {said}; set it to {longest} or less")
        if self.tokens is not None and isinstance(rows, int) and self.tokens > rows:
            said = f"the tokeniser has {self.tokens} tokens, but the model's embedding has {rows} rows"
            raise UserError(f"{self.origin}: {said}; take the files of one model")


def check_origin(student: Student, config: Mapping[str, Any], *, origin: object) -> None:
    """Refuse an origin that lacks what a student takes from it.

    Args:
        student: the student.
        config: of the origin, as its `config.json`.
        origin: its name, for messages.

    Raises:
        UserError: for a layer that the origin lacks, layers that differ in width, or an origin of an unsuitable type.
    """
    kind, shape = config.get("model_type"), student.architecture
    if MIXED_WIDTHS in config and (student.layers is not None or shape is not None):
        raise UserError(f"{origin}: its layers differ in width; set no layers or architecture")
    if student.layers is not None and isinstance(config.get("num_hidden_layers"), int):
        layer_numbers(student, depth=config["num_hidden_layers"])
    if shape is not None and shape.layered and kind != "bert":
        raise UserError(f"student architecture: hidden_sizes need a 'bert' as origin, not a '{kind}'")
    if shape is not None and student.init != "scratch" and student.inherit == "importance" and kind not in BERT_LAYOUT:
        raise UserError(f"student inherit: importance knows BERT's weights, and not those of a '{kind}'; set leading")


def longest_input(config: Mapping[str, Any]) -> int | None:
    """The longest input in tokens that a model's positions allow; None without such a limit."""
    positions, pad = config.get("max_position_embeddings"), config.get("pad_token_id") or 0
    if not isinstance(positions, int) or not config.get("position_biased_input", True):  # DeBERTa's are relative
        return None
    shifted = config.get("model_type") in SHIFTED_POSITIONS and isinstance(pad, int)
    return positions - pad - 1 if shifted else positions


def known_facts(source: str) -> ModelFacts | None:
    """Facts of a source whose files are on this machine; None for new models, and models not yet downloaded.

    Raises UserError for a folder or package that is missing.
    """
    folder = _local_folder(source)
    found = None if folder is None else facts_of(folder, origin=f"model source '{source}'")
    return found if found and found.config else None


def facts_of(folder: Path, *, origin: str) -> ModelFacts:
    """Facts of a folder; nothing is known where its files cannot be read, which loading reports."""
    config = _read(folder / CONFIG)
    return ModelFacts(origin, config if isinstance(config, dict) else {}, *_tokeniser(folder))


def check_loaded(model: "PreTrainedModel", tokenizer: "Tokenizer", max_length: int) -> None:
    """Refuse a model and a tokeniser that cannot read inputs of `max_length` tokens, as `check_reading`."""
    if tokenizer is not None:
        tokens = 1 + max(tokenizer.get_vocab().values())
        ModelFacts(model.name_or_path or "the model", model.config.to_dict(), tokens).check_reading(max_length)


def _local_folder(source: str) -> Path | None:
    if is_new(source):
        return None
    if not source.startswith("hub:"):
        return model_folder(source)
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = source.removeprefix("hub:").partition("@")
    try:
        found = try_to_load_from_cache(name, CONFIG, revision=revision)
    except Exception:  # the hub client raises many types; fetching the model reports them
        return None
    return Path(found).parent if isinstance(found, str) else None


def _tokeniser(folder: Path) -> tuple[int | None, str | None]:
    """The token ids of a tokeniser, which are one more than the highest, and its vocabulary's fingerprint."""
    try:
        stored = _read(folder / "tokenizer.json")
        vocabulary = stored["model"]["vocab"]
        ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else range(len(vocabulary))
        tokens = 1 + max([*ids, *(token["id"] for token in stored.get("added_tokens") or ())])
        return tokens, recipe_key({"vocabulary": vocabulary})
    except (KeyError, TypeError, ValueError):
        plain = folder / "vocab.txt"
        return len(plain.read_bytes().splitlines()) if plain.is_file() else None, None


def _read(path: Path) -> Any:
    """JSON; None where it cannot be read, which loading reports."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
