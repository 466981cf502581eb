"""The base of all configurations."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class FrozenModel(BaseModel):
    """A record that cannot be changed and refuses unknown keys. Its docstrings describe the fields to users."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True, allow_inf_nan=False
    )


def _check_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} contains control characters; remove them")
    return text


ShortText = Annotated[str, Field(max_length=200), AfterValidator(_check_printable)]
"""A name of at most 200 characters without line breaks, control characters and lone surrogates."""
