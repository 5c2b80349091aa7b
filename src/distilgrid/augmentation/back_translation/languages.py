"""Which languages a translation model reads and writes, as far as its files or its name say it."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.core.errors import UserError, did_you_mean

NAMED = re.compile(r"opus-mt(?:-tc-\w+)?-([A-Za-z]{2,})-([A-Za-z]{2,})(?:[@/]|$)")  # groups such as ROMANCE included
PREFIX = re.compile(r">>(.+)<<")
log = logging.getLogger("distilgrid")


@dataclass(frozen=True)
class Languages:
    """A model's languages: codes, or None where nothing says them.

    Attributes:
        reads: the source language, or a group of them such as `mul`.
        writes: the target language, or a group of them.
        choices: target languages that a multilingual model must be told by a first token `>>xx<<`; else empty.
    """

    reads: str | None
    writes: str | None
    choices: frozenset[str] = frozenset()


def declared_languages(source: str, folder: Path, *, vocabulary: dict[str, int]) -> Languages:
    """From `tokenizer_config.json`, else from the name in the source, `config.json` or the folder: `opus-mt-en-de`."""
    tokenizer, config = _read(folder / "tokenizer_config.json"), _read(folder / "config.json")
    reads, writes = tokenizer.get("source_lang"), tokenizer.get("target_lang")
    named = (source, str(config.get("_name_or_path", "")), folder.name)
    for name in named if reads is None or writes is None else ():
        if found := NAMED.search(name):
            reads, writes = reads or found[1], writes or found[2]
            break
    choices = frozenset(found[1] for token in vocabulary if (found := PREFIX.fullmatch(token)))
    return Languages(reads, writes, choices)


def agreed_prefixes(settings: BackTranslation, forward: Languages, backward: Languages) -> tuple[str, str]:
    """What each text must start with on its way out and back: `>>xx<< ` for a multilingual model, else nothing.

    Raises:
        UserError: when a model reads or writes another language than the other model or the settings say.
    """
    pivot = settings.pivot
    if pivot is None and forward.choices and _single(forward.writes) is None:
        raise UserError(f"forward '{settings.forward}' writes several languages; set pivot to one of them, as in 'de'")
    pivot = pivot or _single(forward.writes) or _single(backward.reads)
    _compare(f"forward '{settings.forward}'", "reads", forward.reads, settings.language, "language")
    _compare(f"backward '{settings.backward}'", "reads", backward.reads, pivot, "pivot")
    out = _prefix(f"forward '{settings.forward}'", forward, pivot, "pivot")
    return out, _prefix(f"backward '{settings.backward}'", backward, settings.language, "language")


def _prefix(model: str, languages: Languages, wanted: str | None, key: str) -> str:
    if languages.choices and wanted is not None:
        if wanted in languages.choices:
            return f">>{wanted}<< "
        if languages.writes != wanted:
            known = did_you_mean(wanted, languages.choices)
            raise UserError(f"{model} has no token >>{wanted}<< for the {key} '{wanted}'; {known}")
    _compare(model, "writes", languages.writes, wanted, key)
    return ""


def _compare(model: str, verb: str, declared: str | None, wanted: str | None, key: str) -> None:
    """Codes of one kind must be equal; a group such as `mul`, or a code of another length, cannot be compared."""
    if declared is None or wanted is None:
        log.warning("%s: no file says which language it %s; it should be the %s '%s'", model, verb, key, wanted or "?")
    elif declared == wanted:
        return
    elif _single(declared) is not None and len(declared) == len(wanted):
        raise UserError(f"{model} {verb} '{declared}', but the {key} is '{wanted}'; set {key} or take another model")
    else:
        log.warning("%s %s '%s', which cannot be compared with the %s '%s'", model, verb, declared, key, wanted)


def _single(code: str | None) -> str | None:
    """The code of one language; None for a group of languages, or for nothing."""
    return code if code is not None and re.fullmatch(r"[a-z]{2,3}", code) and code not in GROUPS else None


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # damaged files are reported where the model is loaded
        return {}
    return value if isinstance(value, dict) else {}


# Collective codes of ISO 639-5 that published Marian models are named after.
_GROUPS = """
aav afa alv art bat ber bnt cau ccs cel cpf cpp cus dra euq fiu gem gmq gmw grk iir inc ine itc mkh mul nic phi poz pqe
roa sal sem sit sla trk urj zle zls zlw
"""
GROUPS = frozenset(_GROUPS.split())
