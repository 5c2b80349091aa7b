"""Numbers of threads, as devices list them. Light."""

from typing import Annotated

from pydantic import AfterValidator, Field

from distilgrid.core.schema import each_once

Threads = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1), AfterValidator(each_once)]
