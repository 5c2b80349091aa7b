"""Texts from Jinja templates that ship with the package."""

from typing import Any


def filled(package: str, template: str, **values: Any) -> str:
    """The text of a package's template, such as `readme.md.jinja`, for some values."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
