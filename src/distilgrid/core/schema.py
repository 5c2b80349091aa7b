"""The base of every settings model, with strict keys and frozen values; and nested values merged or made flat."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

MAX_WHOLE = 2**53
"""The largest whole number that every reader of JSON keeps; libraries fail with longer ones."""


def _make_numbers_strict(schema: Any, model: type[BaseModel]) -> None:
    """Make a model's numbers strict, and whole ones at most MAX_WHOLE, where a field says no less.

    Its other fields stay lax: files hold lists for tuples, and texts for paths.
    """
    if isinstance(schema, dict):
        if schema.get("type") == "model" and schema["cls"] is not model:
            return  # it has its own numbers
        if schema.get("type") in ("int", "float"):
            schema.setdefault("strict", True)
        if schema.get("type") == "int" and "lt" not in schema:
            schema.setdefault("le", MAX_WHOLE)
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list | tuple) else ():
        _make_numbers_strict(part, model)


class Settings(BaseModel):
    """A group of settings. Unknown keys are refused, values are checked, instances cannot change.

    Numbers are finite, and integers at most MAX_WHOLE. Text and booleans are refused for numbers, and 2.0 for integers,
    except with `Field(strict=False)`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_numbers_strict(schema, cls)
        return schema


MAX_SEED = 2**32 - 1
"""The largest that all libraries take; longer ones would also look like a loop to Snakemake."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def each_once(values: list[int]) -> list[int]:
    """Refuse a list that repeats a number: for pydantic's `AfterValidator`."""
    if len(set(values)) < len(values):
        raise ValueError(f"must list each value once, found {values}")
    return values


def deep_merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The base with an overlay's values on top: mappings merge key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(merged[key], value) if both else value
    return merged


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names; lists count as values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def self_contained_schema(model: type[BaseModel], *, without: Collection[str] = ()) -> dict[str, Any]:
    """A model's JSON Schema without references, so that another schema can embed it, and without some fields."""
    schema = model.model_json_schema()
    schema["properties"] = {name: value for name, value in schema["properties"].items() if name not in without}
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        own = {name: resolved(item) for name, item in value.items() if name != "$ref"}
        named = value.get("$ref", "").rpartition("/")[2]
        return resolved(definitions[named]) | own if named else own

    whole: dict[str, Any] = resolved(schema)
    return whole
