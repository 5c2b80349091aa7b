"""What models of a grid can be refused for before any job runs: their sizes, positions and tokens.

Jobs refuse the same of the models that they load. A model that is not on this machine yet is not known here.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.models.facts import ModelFacts, check_origin, known_facts
from distilgrid.models.settings import Student
from distilgrid.models.shapes import Sizes, check_heads, check_one_width, layer_numbers
from distilgrid.plan.names import origin_source
from distilgrid.plan.params import Params, effective_training, known_space
from distilgrid.search.architecture import Architecture, check_size, shape_of, student_shape
from distilgrid.search.estimators.registry import check_layout, homogeneous
from distilgrid.search.space import AnySpace, Space
from distilgrid.signals.base import ROWS
from distilgrid.training.settings import Training

Cell = Mapping[str, Any]
TOKENS = ROWS["hidden-states"]
STATES = [signal for name, signal in ROWS.items() if name != "logits"]
"""Signals that hold a teacher's hidden states."""
SAMPLED = 50
"""Architectures of a search space that are looked at."""


def check_teacher(params: Params, name: str) -> None:
    """Refuse a teacher that cannot read inputs of its training. Raises UserError naming it."""
    teacher = params.teachers[name]
    if facts := _facts(params, teacher.source):
        with _named(f"teachers.{name}"):
            facts.check_reading(effective_training(params, teacher.training).max_length)


def check_student(params: Params, cell: Cell, method: BaseMethod, training: Training) -> None:
    """Refuse a student that its origin cannot make, or that cannot learn from its teachers by its method.

    Raises:
        UserError: naming the student, and the setting to change.
    """
    params.remembered(
        f"fits {cell['teacher']} {cell['method']} {cell['student']}",
        lambda: _check_student(params, cell, method, training),
    )


def _check_student(params: Params, cell: Cell, method: BaseMethod, training: Training) -> None:
    own = params.students[cell["student"]]
    source = origin_source(params, own, cell["teacher"])
    origin = _facts(params, source)
    if origin is None:
        return
    taught = [known for name in cell["teachers"] if (known := _facts(params, params.teachers[name].source))]
    with _named(f"students.{cell['student']}"):
        if own.source is not None:  # otherwise the teacher's, which is checked with its own length
            origin.check_reading(training.max_length)
        if TOKENS in method.signals():
            _check_tokenisers(origin, taught)
        shapes = _shapes(params, own)
        for student in shapes:
            check_origin(student, origin.config, origin=origin.origin)
        problems = [problem for student in shapes if (problem := _misfit(student, origin, taught, method))]
        if len(problems) == len(shapes):  # whichever a search finds
            raise problems[0]
    for known in taught if method.runs_teacher or own.source is None else ():
        with _named(f"students.{cell['student']}"):
            known.check_reading(training.max_length)


def _check_tokenisers(origin: ModelFacts, taught: list[ModelFacts]) -> None:
    """Refuse a student whose tokens are not those that a teacher leaves hidden states of."""
    for teacher in taught:
        if None not in (origin.vocabulary, teacher.vocabulary) and origin.vocabulary != teacher.vocabulary:
            said = f"{origin.origin} has another vocabulary than {teacher.origin}"
            raise UserError(f"hidden states are those of tokens, and {said}; take the teacher's, or a method on logits")


def _shapes(params: Params, own: Student) -> list[Student]:
    """A student in each shape that it may have: its own one, or those that its search may find."""
    if own.found is None or own.found.search not in params.searches:
        return [own]
    space = known_space(params, params.searches[own.found.search].space)
    made = {"found": None, "init": "finetuned" if own.init == "supernet" else own.init}
    return [own.model_copy(update={**made, "architecture": student_shape(each)}) for each in _members(space)]


def _misfit(student: Student, origin: ModelFacts, taught: list[ModelFacts], method: BaseMethod) -> UserError | None:
    """Why a student of some shape can be built by nobody, or taught by none of its teachers."""
    try:
        sizes = _sizes(student, origin)
    except UserError as problem:
        return problem
    widths = student.architecture.hidden_sizes if student.architecture else None
    try:
        if widths and any(signal in STATES for signal in method.signals()):
            check_one_width(widths)
        for teacher in taught:
            if sizes is not None and teacher.sizes is not None:
                method.check_sizes(sizes, teacher.sizes)
    except UserError as problem:
        return UserError(f"{problem}; or leave the method out of grid.methods and grid.baselines")
    return None


def _sizes(student: Student, origin: ModelFacts) -> Sizes | None:
    """Layers and width; None where the origin does not say them. Raises UserError for an impossible shape."""
    found, shape = origin.sizes, student.architecture
    if found is None:
        return None
    if shape is None:
        return Sizes(len(layer_numbers(student, depth=found.layers)), found.hidden)
    widths = shape.hidden_sizes or [shape.hidden_size or found.hidden]
    heads = shape.num_attention_heads or origin.size("num_attention_heads")
    if heads:
        check_heads(widths, heads, field="hidden_sizes" if shape.layered else "")
    layers = len(widths) if shape.layered else shape.num_hidden_layers or found.layers
    return Sizes(layers, widths[-1])


def check_search(params: Params, name: str, teacher: str) -> None:
    """Refuse a search whose space or estimator does not fit the teacher's model.

    Raises:
        UserError: naming the search, and the setting to change.
    """
    params.remembered(f"fits {name} {teacher}", lambda: _check_search(params, name, teacher))


def _check_search(params: Params, name: str, teacher: str) -> None:
    search, facts = params.searches[name], _facts(params, params.teachers[teacher].source)
    if facts is None:
        return
    own, whole, members = search.estimator, facts.sizes, _members(known_space(params, search.space))
    with _named(f"searches.{name}"):
        shape_of(facts.config)
        facts.check_reading(own.trained(params.training).max_length)
        if own.kind == "supernet":
            homogeneous(known_space(params, search.space))
            check_layout(facts.kind)
        elif own.inherit != "none":
            how = own.model_dump(include={"init", "inherit", "inherit_layers"})
            candidate = Student(architecture=student_shape(members[0]), **how)
            check_origin(candidate, facts.config, origin=facts.origin)
        if whole is not None:
            for each in members:
                own.method.check_sizes(Sizes(each.encoder.layers, each.encoder.hidden[-1]), whole)
        share = search.max_size_share
        if share is not None and known_space(params, search.space).size == len(members):
            check_size(members, share, teacher=facts.config)


def _members(space: AnySpace) -> Sequence[Architecture]:
    """All architectures of a space that lists them, or many of another one."""
    return space.shapes if isinstance(space, Space) else space.sample(SAMPLED, seed=0)


def _facts(params: Params, source: str) -> ModelFacts | None:
    """Facts of a model, read once for all cells of a grid."""
    found: ModelFacts | None = params.remembered(f"facts {source}", lambda: known_facts(source))
    return found


@contextlib.contextmanager
def _named(place: str) -> Iterator[None]:
    """Put the place of a setting before a complaint."""
    try:
        yield
    except UserError as problem:
        raise _at(place, problem) from None


def _at(place: str, problem: UserError) -> UserError:
    said = str(problem)
    own = said.removeprefix("student ")  # as in `student layers: ...`
    return UserError(f"{place}.{own}" if own != said else f"{place}: {said}")
