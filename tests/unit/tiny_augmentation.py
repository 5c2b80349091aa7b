"""For the augmentation tests: an encoder whose embeddings are known, translators, and prepared data with a teacher."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.conftest import BAD, FILLER, GOOD
from tests.unit.made import finetune, prepare

from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["un", "##like", "##ly", "##s", "x", "'", ".", ",", "!", "7"]
GROUPS = {"good": GOOD, "bad": BAD, "filler": FILLER}
WORDS = [*GOOD, *BAD, *FILLER]
VOCABULARY = [*SPECIAL, *WORDS, *PIECES]
WIDTH = 16


def embeddings() -> torch.Tensor:
    """(V, 16): the words of a group point the same way, almost; no two are equally near."""
    drawn = torch.randn(len(VOCABULARY), WIDTH, generator=torch.Generator().manual_seed(7))
    table = 0.1 * drawn
    for axis, words in enumerate(GROUPS.values()):
        table[[VOCABULARY.index(word) for word in words], axis] += 1.0
    return table


def save_encoder(folder: Path, *, head: bool) -> Path:
    """An uncased BERT with two layers, pretrained with a masked-LM head or without one."""
    from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    model = BertForMaskedLM(config) if head else BertModel(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(embeddings())
    model.save_pretrained(folder)
    BertTokenizerFast(vocab={word: i for i, word in enumerate(VOCABULARY)}).save_pretrained(folder)
    return folder


def save_translator(folder: Path, *, seed: int = 0, choices: Sequence[str] = (), **declared: Any) -> Path:
    """A random Marian model over the same words, whose `tokenizer_config.json` declares what is given."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import MarianMTModel, PreTrainedTokenizerFast

    prefixes = [f">>{choice}<<" for choice in choices]
    names = ["</s>", "<unk>", "<pad>", *WORDS, ".", *prefixes]
    backend = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    special = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_special_tokens": prefixes}
    PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **special).save_pretrained(folder)
    torch.manual_seed(seed)
    MarianMTModel(_marian(len(names))).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | declared))
    return folder


def _marian(size: int) -> Any:
    from transformers import MarianConfig

    layers = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in LAYERS.items()}
    return MarianConfig(
        vocab_size=size,
        d_model=WIDTH,
        max_position_embeddings=64,
        pad_token_id=2,
        eos_token_id=0,
        forced_eos_token_id=0,
        decoder_start_token_id=2,
        bad_words_ids=[[2]],
        init_std=0.5,
        **layers,
    )


LAYERS = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}


def prepare_taught(folder: Path, *, csv: Path, model: Path, training: Training) -> None:
    """`data`, 96 training rows of the reviews, and `teacher`, fine-tuned on them, in a folder."""
    spec = TaskSpec(source=f"csv:{csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=96), out=folder / "data")
    source = f"path:{model}"
    finetune(data=folder / "data", source=source, training=training, seed=0, out=folder / "teacher", labels={})
