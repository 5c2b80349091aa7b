"""Texts from Jinja templates that ship with the package."""

from typing import Any

from distilgrid.core.markdown import code, plain


def filled(package: str, template: str, **values: Any) -> str:
    """The text of a package's template, such as `readme.md.jinja`, for some values.

    Nothing is escaped by itself, as Markdown is not HTML: texts of users pass the filter `plain` or `code`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain, "code": code}
    return environment.get_template(template).render(**values)
