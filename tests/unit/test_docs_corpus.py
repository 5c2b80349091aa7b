"""The docs corpus, on two small made-up libraries; the real ones are read in a slow test."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from distilgrid.core.errors import UserError
from distilgrid.tasks import docs_corpus
from distilgrid.tasks.docs_corpus import rows
from distilgrid.tasks.docs_corpus.installed import read_docstrings
from distilgrid.tasks.docs_corpus.sentences import (
    MASK,
    DocEntry,
    is_clean,
    mask_libraries,
    normalised,
    plain_text,
    prose_blocks,
    read_entry,
    split_sentences,
)

COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "brown", "black", "white", "grey"]
SHAPES = ["circle", "square", "line", "sphere", "cube", "ring", "cone", "star"]
GOLDEN = {1: "18d90f3b331a4bef"}
"""Digest of both tasks on the made-up libraries, by corpus version: it changes only together with the version."""

BUILD = """
import hashlib, sys
from distilgrid.tasks import docs_corpus
docs_corpus.PACKAGES = {"alpha-lib": "alpha", "beta-lib": "beta"}
frames = [docs_corpus.build(task) for task in docs_corpus.COLUMNS]
text = "".join(split + frame.to_csv() for found in frames for split, frame in found.items())
print(hashlib.sha256(text.encode()).hexdigest()[:16])
"""


def write_library(site: Path, package: str, verb: str) -> None:
    """A package of 40 modules, each with a function whose summary and description share a colour and a shape."""
    (site / package / "tests").mkdir(parents=True)
    (site / package / "tests" / "test_it.py").write_text('"""This sentence lives in a test folder."""')
    for i in range(40):
        colour, shape = COLOURS[i % 10], SHAPES[i // 10 * 2 + i % 2]
        (site / package / f"module_{i}.py").write_text(
            f'def f(x):\n    """{verb} the {colour} {shape} of a picture.\n\n'
            f"    Every {colour} part of the {shape} is then shown by the {package} engine.\n\n"
            f"    Parameters\n    ----------\n    x : int\n        This is not a sentence for us.\n"
            f'    """\n\n\ndef g():\n    """This very sentence occurs in every library."""\n'
        )
    info = site / f"{package}_lib-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}-lib\nVersion: 1.0\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_library(folder, "alpha", "Draw")
    write_library(folder, "beta", "Remove")
    return folder


@pytest.fixture
def libraries(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(docs_corpus, "PACKAGES", {"alpha-lib": "alpha", "beta-lib": "beta"})
    docs_corpus._corpus.cache_clear()
    yield site
    docs_corpus._corpus.cache_clear()


def test_revision_names_the_version_and_every_library(libraries: Path) -> None:
    assert docs_corpus.revision() == f"docs-corpus-v{docs_corpus.VERSION}:alpha-lib=1.0,beta-lib=1.0"


def test_missing_library_is_named(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(docs_corpus.PACKAGES, "no-such-lib", "nosuchlib")
    with pytest.raises(UserError, match="no-such-lib is not installed; install it"):
        docs_corpus.revision()
    with pytest.raises(UserError, match="no-such-lib is not installed"):
        docs_corpus.build("docs-topic")


def test_unknown_task_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"unknown task 'docs-topics'; did you mean 'docs-topic'\?"):
        docs_corpus.build("docs-topics")


def test_revision_is_light() -> None:
    code = (
        "import sys; from distilgrid.tasks import docs_corpus\n"
        "try: docs_corpus.revision()\nexcept Exception as error: assert 'not installed' in str(error)\n"
        "assert not {'pandas', 'numpy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_follow_the_order_of_libraries(libraries: Path) -> None:
    train = docs_corpus.build("docs-topic")["train"]
    assert set(train.loc[train.sentence.str.startswith("Draw"), "label"]) == {0}
    assert set(train.loc[train.sentence.str.startswith("Remove"), "label"]) == {1}


def test_topic_rows_are_distinct_and_shared_sentences_gone(libraries: Path) -> None:
    frames = docs_corpus.build("docs-topic")
    sentences = pd.concat(frames.values()).sentence
    assert list(frames) == ["train", "dev", "validation"]
    assert sentences.map(normalised).is_unique
    assert not sentences.str.contains("This very sentence").any()
    assert not sentences.str.contains("test folder|not a sentence").any()


def test_no_file_is_in_two_splits(libraries: Path) -> None:
    """Summary and description of a made-up module share their words, so one split must hold both."""
    topics = docs_corpus.build("docs-topic")
    places: dict[tuple[int, str], set[str]] = {}
    for split, frame in topics.items():
        for sentence, label in zip(frame.sentence, frame.label, strict=True):
            words = " ".join(sorted(set(re.findall("|".join(COLOURS + SHAPES), sentence))))
            places.setdefault((label, words), set()).add(split)
    assert len(places) > 60
    assert all(len(found) == 1 for found in places.values())


def test_match_texts_occur_once_with_each_label(libraries: Path) -> None:
    for frame in docs_corpus.build("docs-match").values():
        for column in ("summary", "description"):
            assert (frame.groupby([column, "label"]).size() == 1).all()
            assert (frame.groupby(column).label.nunique() == 2).all()


def test_matches_belong_together_and_others_do_not(libraries: Path) -> None:
    for frame in docs_corpus.build("docs-match").values():
        for row in frame.itertuples():
            colour, shape = str(row.summary).split()[2:4]
            same = f"{colour} part of the {shape}" in str(row.description)
            assert same == bool(row.label)


def test_wrong_summaries_come_from_the_same_library(libraries: Path) -> None:
    validation = docs_corpus.build("docs-match")["validation"]
    assert len(validation) > 4
    for row in validation.itertuples():
        assert str(row.summary).split()[0] == ("Draw" if "alpha" in str(row.description) else "Remove")


def test_rows_never_depend_on_hash_seed_or_order_of_files(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def backwards(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for parent, folders, names in walk(top):
            yield parent, folders, names[::-1]

    first = digest()
    docs_corpus._corpus.cache_clear()
    monkeypatch.setattr(os, "walk", backwards)
    assert digest() == first
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(libraries), *sys.path])}
    for seed in ("1", "2"):
        environment["PYTHONHASHSEED"] = seed
        done = subprocess.run(
            [sys.executable, "-c", BUILD], env=environment, check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == first


def test_rows_change_only_with_the_version(libraries: Path) -> None:
    assert digest() == GOLDEN[docs_corpus.VERSION]


def digest() -> str:
    frames = [docs_corpus.build(task) for task in docs_corpus.COLUMNS]
    text = "".join(split + frame.to_csv() for found in frames for split, frame in found.items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_classes_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "TOPIC_ROWS", {"train": 5, "dev": 1, "validation": 2})
    words = [f"{a}{b}" for a in "abcdefgh" for b in "klmnopqr"]
    corpus = {name: [DocEntry(f"{name}/{w}.py", (f"The {name} of {w}.",), True) for w in words] for name in ("x", "yy")}
    found = rows.topic_rows(corpus)
    assert [len(found[split]) for split in rows.TOPIC_ROWS] == [10, 2, 4]


def test_splits_have_about_the_intended_shares() -> None:
    found = pd.Series([rows.split_of(f"library/module_{i}.py") for i in range(5000)]).value_counts(normalize=True)
    assert found["train"] == pytest.approx(0.80, abs=0.02)
    assert found["dev"] == pytest.approx(0.08, abs=0.02)


def test_a_lone_pair_has_no_wrong_partner_and_is_left_out() -> None:
    entry = DocEntry("x/a.py", ("Draw the red circle now.", "It is drawn in the very middle of the page."), True)
    assert rows.match_rows({"x": [entry]}) == {"train": [], "dev": [], "validation": []}


def test_docstrings_are_read_but_nothing_runs(tmp_path: Path) -> None:
    package = tmp_path / "danger"
    (package / "externals").mkdir(parents=True)
    (package / "externals" / "other.py").write_text('"""Carried along."""')
    (package / "conftest.py").write_text('"""For tests."""')
    (package / "__init__.py").write_text(
        '"""Module."""\nraise SystemExit\n'
        'class A:\n    """Class."""\n    async def f(self):\n        """Method."""\n'
        "if True:\n    def g():\n        '''Nested.'''\n"
        'add_newdoc("danger", "h", """\n    Compiled.\n    """)\n'
        'add_newdoc("danger", "C", ("m", """Compiled method."""))\n'
    )
    found = list(read_docstrings(package))
    assert [text for _, text in found] == ["Module.", "Class.", "Method.", "Nested.", "Compiled.", "Compiled method."]
    assert {module for module, _ in found} == {"danger/__init__.py"}


def test_broken_source_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(UserError, match=r"broken\.py: cannot be parsed"):
        list(read_docstrings(tmp_path))


def test_prose_is_told_from_everything_else() -> None:
    docstring = """f(x, y=1)

Summary of it.

More about
this.

- a list
- of things

.. note:: A directive
    with a body.

    More of it.

>>> f(1)
2

:param x: a field

Parameters
----------
x : int

    Indented.

Not prose either.

Notes
-----
A note.
"""
    assert prose_blocks(docstring) == ["Summary of it.", "More about this.", "A note."]


@pytest.mark.parametrize(
    ("marked_up", "plain"),
    [
        ("Set ``axis`` or *none* of **them**.", "Set axis or none of them."),
        ("See :class:`~a.b.Thing` and :meth:`.Thing.run`.", "See Thing and Thing.run."),
        ("See :ref:`the guide <guide-label>` or `the site <https://x.y>`_.", "See the guide or the site."),
        ("A :class:`_orm.Mapper` of `x`.", "A Mapper of x."),
        ("Known since long ago [1]_.", "Known since long ago."),
        ("As shown in [1]_.", "As shown \0."),
        ("Where :math:`x^2` is ``a[0] + 1``.", "Where \0 is \0."),
        ("It \u2018is\u2019 so\u2014really.", "It 'is' so - really."),
    ],
)
def test_inline_markup_goes(marked_up: str, plain: str) -> None:
    assert plain_text(marked_up) == plain


@pytest.mark.parametrize("name", [*docs_corpus.PACKAGES, *docs_corpus.PACKAGES.values()])
def test_every_library_of_the_corpus_is_masked(name: str) -> None:
    for text in (name, name.upper(), name.capitalize(), f"{name}.a.b_c", f"to_{name}"):
        assert mask_libraries(f"Use {text} here.") == f"Use {MASK} here."


def test_aliases_are_masked_and_other_words_are_not() -> None:
    assert mask_libraries("An np.ndarray of plt, nx.Graph, sa.Table.") == f"A {MASK} of {MASK}, {MASK}, {MASK}."
    assert mask_libraries("NP-hard input, snp data, sp orbitals, an index.") == (
        "NP-hard input, snp data, sp orbitals, an index."
    )


def test_sentences_end_where_they_end() -> None:
    text = "See e.g. Smith et al. Not here, cf. Fig. 2. (This too.) By J. Doe! Is it so? Yes"
    assert split_sentences(text) == [
        "See e.g. Smith et al. Not here, cf. Fig. 2.",
        "(This too.)",
        "By J. Doe!",
        "Is it so?",
        "Yes",
    ]


@pytest.mark.parametrize(
    ("sentence", "clean"),
    [
        ("Return the sum of all values (see below).", True),
        ("Does the method use n_samples of them?", True),
        ("Return the sum.", False),
        ("return the sum of all values.", False),
        ("Return the sum of all values", False),
        ("Return the sum of all values:", False),
        ("Return the sum of f(x) over all values.", False),
        ("Return the sum (of all values.", False),
        ("Return the sum of x = 1 and others.", False),
        ("Return 1 2 3 4 5 6 of x2 y3.", False),
        ("Return the value at https://example.org of it.", False),
        ("This file is under the terms of a license.", False),
        ("Return " + "very " * 40 + "much.", False),
    ],
)
def test_only_whole_english_sentences_pass(sentence: str, clean: bool) -> None:
    assert is_clean(sentence) == clean


def test_summary_is_known_only_when_it_is_the_first_sentence() -> None:
    assert read_entry("m", "Return the sum of all values. More is said right here.").has_summary
    assert not read_entry("m", "Return it.\n\nMore is said about it here.").has_summary


@pytest.mark.slow
def test_the_real_corpus_is_clean_balanced_and_masked() -> None:
    topic, match = docs_corpus.build("docs-topic"), docs_corpus.build("docs-match")
    for split, frame in topic.items():
        counts = frame.label.value_counts()
        assert len(counts) == len(docs_corpus.PACKAGES)
        assert counts.min() >= 0.6 * counts.max(), split
    assert all((frame.label.mean() == 0.5) for frame in match.values())
    assert pd.concat(topic.values()).sentence.map(normalised).is_unique
    texts = pd.concat([topic["train"].sentence, match["train"].summary, match["train"].description])
    names = "numpy|pandas|scipy|scikit|sklearn|matplotlib|networkx|sqlalchemy|sympy"
    assert not texts.str.contains(names, case=False).any()
    assert not texts.str.contains(r"[`{}\[\]<>|\\*]|::|>>>", regex=True).any()
