"""One clear line from a pydantic error."""

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from distilgrid.core.errors import UserError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


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
    if not problem["loc"]:  # of the whole
        return problem["msg"].removeprefix("Value error, ")
    location, known = _walked(schema, problem["loc"])
    dotted = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"{dotted}: unknown key; {did_you_mean(location[-1], known)}"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        key = context["discriminator"].strip("'")
        return f"{dotted}.{key}: unknown {key} '{context['tag']}'; {did_you_mean(context['tag'], tags)}"
    if problem["type"] == "union_tag_not_found":
        key, hint = problem["ctx"]["discriminator"].strip("'"), "and no preset or lower file has that name"
        return f"{dotted}: says no {key}, {hint}; add '{key}: ...' or correct the name"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_type" and isinstance(problem["input"], bool | int | float | datetime.date):
        message = "must be a text; write it in quotes, since YAML reads it as something else"
    return f"{dotted}: {message}{_found(problem['input'], problem['type'])}"


def _found(value: Any, kind: str) -> str:
    if isinstance(value, dict | list):
        return ""
    quoted = kind in ("int_type", "float_type") and isinstance(value, str) and NUMBER.fullmatch(value.strip())
    return f" (found {value!r}{'; write the number without quotes' if quoted else ''})"


def _walked(schema: dict[str, Any], location: Sequence[int | str]) -> tuple[list[str], list[str]]:
    """A location without the tags that pydantic inserts for unions, and the keys that the schema allows there."""
    shown: list[str] = []
    node = above = schema
    for part in location:
        tagged = node.get("discriminator", {}).get("mapping", {}).get(part)
        if tagged:
            node = _resolve(schema, {"$ref": tagged})
        else:
            shown.append(str(part))
            node, above = _step(schema, node, part), node
    properties = dict(above.get("properties", {}))
    for option in [*above.get("oneOf", []), *above.get("anyOf", [])]:
        properties |= _resolve(schema, option).get("properties", {})
    return shown, list(properties)


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
