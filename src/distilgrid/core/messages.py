"""One clear line from a pydantic error."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from distilgrid.core.errors import UserError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any, *, origin: str) -> Model:
    """Settings from plain values. Raises UserError with the origin and the key for wrong ones."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{origin}: {first_problem(error, model.model_json_schema())}") from None


def validated_kind(kinds: Mapping[str, type[Model]], values: Mapping[str, Any], *, origin: str) -> Model:
    """Settings of the class that the value `kind` names. Raises UserError with the origin and the key."""
    if "kind" not in values:
        raise UserError(f"{origin}: says no kind; add one of: {', '.join(f'kind: {kind}' for kind in kinds)}")
    kind = str(values["kind"])
    if kind not in kinds:
        raise UserError(f"{origin}: kind: unknown kind '{kind}'; {did_you_mean(kind, kinds)}")
    return validated(kinds[kind], values, origin=origin)


def first_problem(error: ValidationError, schema: dict[str, Any]) -> str:
    """The first of pydantic's problems as one line that names the key and, for an unknown key, the nearest known one.

    Unknown keys come first: a misspelt key also leaves the right one missing.
    """
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    location, objective = list(problem["loc"]), None
    if not location:  # of the whole
        return problem["msg"].removeprefix("Value error, ")
    if location[0] == "methods" and len(location) > 3:
        objective = location.pop(2)  # pydantic inserts the tag of the union here
    dotted = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(schema, location[:-1], objective)
        return f"{dotted}: unknown key; {did_you_mean(str(location[-1]), known)}"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        key = context["discriminator"].strip("'")
        return f"{dotted}.{key}: unknown {key} '{context['tag']}'; {did_you_mean(context['tag'], tags)}"
    if problem["type"] == "union_tag_not_found":
        key, hint = problem["ctx"]["discriminator"].strip("'"), "and no preset or lower file has that name"
        return f"{dotted}: says no {key}, {hint}; add '{key}: ...' or correct the name"
    message = problem["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(problem["input"], dict | list) else f" (found {problem['input']!r})"
    return f"{dotted}: {message}{shown}"


def _known_keys(schema: dict[str, Any], location: Sequence[int | str], objective: int | str | None) -> list[str]:
    """The keys that the schema allows at a location; for a method, those of its objective."""
    node = schema
    for part in location:
        node = _step(schema, node, part)
    properties = dict(node.get("properties", {}))
    for option in [*node.get("oneOf", []), *node.get("anyOf", [])]:
        found = _resolve(schema, option).get("properties", {})
        if objective is None or found.get("objective", {}).get("const") == objective:
            properties |= found
    return list(properties)


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _step(schema: dict[str, Any], node: dict[str, Any], part: int | str) -> dict[str, Any]:
    if isinstance(part, int):
        return _resolve(schema, node.get("items", {}))
    options = [node, *(_resolve(schema, option) for option in node.get("anyOf", []))]
    for option in options:
        child = option.get("properties", {}).get(part) or option.get("additionalProperties")
        child = child or next(iter(option.get("patternProperties", {}).values()), None)
        if isinstance(child, dict):
            return _resolve(schema, child)
    return {}
