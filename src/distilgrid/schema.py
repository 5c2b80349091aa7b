"""The base of every settings model: strict keys, frozen values."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings. Unknown keys are refused, values are checked, instances cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True)


def each_once(values: list[int]) -> list[int]:
    """A list of numbers, none of them twice: for pydantic's `AfterValidator`."""
    if len(set(values)) < len(values):
        raise ValueError(f"must list each value once, found {values}")
    return values


def self_contained_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON Schema without references, so that it can stand anywhere within another one."""
    schema = model.model_json_schema()
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
