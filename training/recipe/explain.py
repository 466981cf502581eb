"""Explain the keys of a recipe from the fields of its models: `report-gen train --explain`."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .adapter_tuning import TuningRecipe
from .schema import Recipe

_KINDS = {bool: "boolean", int: "integer", float: "float", str: "string", dict: "table"}
"""Type names of TOML."""
_HINT = (
    "Keys of a recipe (a TOML file). Change one for a single run with --set, as in --set stages.0.rates.decoder=1e-3"
)
_KINDS_OF_RECIPES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Recipes that train a model of report-gen in stages", Recipe),
    ("Recipes that fine-tune a published model (model is a text)", TuningRecipe),
)
_LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class Key:
    """One key of a recipe."""

    name: str
    kind: str
    """Allowed values, in TOML terms."""
    default: str
    """Default value as TOML; "required" if there is none."""
    meaning: str


@dataclass(frozen=True)
class KeyTable:
    """One table of a recipe."""

    path: str
    """Dotted path; empty for the top-level keys."""
    repeated: bool
    """Whether the recipe may have several of these tables, each under `[[path]]`."""
    meaning: str
    keys: tuple[Key, ...]

    @property
    def name(self) -> str:
        return self.path.rsplit(".", 1)[-1]


def explain(record: type[BaseModel] = Recipe, path: str = "", meaning: str = "") -> Iterator[KeyTable]:
    """Yield every table of a recipe with its own keys, outer tables first.

    A table of which there are several kinds, such as a preprocessing step, is yielded without keys and then once per
    kind.
    """
    tables = {name: nested for name, field in record.model_fields.items() if (nested := _nested(field.annotation))}
    keys = tuple(_key(name, field) for name, field in record.model_fields.items() if name not in tables)
    yield KeyTable(path, False, meaning, keys)
    for name, kinds in tables.items():
        field = record.model_fields[name]
        inner, repeated = f"{path}.{name}".strip("."), get_origin(field.annotation) is tuple
        if len(kinds) > 1:
            yield KeyTable(inner, repeated, _table_meaning(field), ())
        for kind in kinds:
            meaning = _table_meaning(field) if len(kinds) == 1 else " ".join((kind.__doc__ or "").split())
            first, *others = explain(kind, inner, meaning)
            yield KeyTable(first.path, repeated, first.meaning, first.keys)
            yield from others


def render_keys() -> RenderableType:
    """Return all tables for a terminal of at least 60 columns."""
    parts: list[RenderableType] = [Text(_HINT, end="\n\n")]
    for title, record in _KINDS_OF_RECIPES:
        parts += [Text(title, "bold underline", end="\n\n"), *_render_tables(record)]
    return Group(*parts)


def _render_tables(record: type[BaseModel]) -> Iterator[RenderableType]:
    for table in explain(record):
        header = f"[[{table.path}]]" if table.repeated else f"[{table.path}]" if table.path else "top-level keys"
        yield Text.assemble((header, "bold cyan"), "  ", table.meaning, end="\n\n")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, min_width=22)
        grid.add_column(ratio=1)
        for key in table.keys:
            default = "required" if key.default == "required" else f"default {key.default}"
            grid.add_row(Text(key.name, "bold"), Text.assemble((f"{key.kind}, {default}\n", "dim"), key.meaning))
        yield from (grid, Text())


def _key(name: str, field: FieldInfo) -> Key:
    default = "required" if field.is_required() else _toml(field.get_default(call_default_factory=True))
    kind = f"{_kind(field.annotation)} {_limits(field.metadata)}".strip()
    return Key(name, kind, default, " ".join((field.description or "").split()))


def _table_meaning(field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    return f"{meaning} Off without this table." if field.default is None else meaning


def _toml(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _kind(annotation: Any) -> str:
    """Describe the values of a field: `float`, `array of string`, `"auto" or "fp32"`, `integer >= 0 or "all"`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(json.dumps, arguments))
    if origin is Annotated:
        base, *limits = arguments
        metadata = chain.from_iterable(getattr(limit, "metadata", ()) for limit in limits)  # a validator has none
        return f"{_kind(base)} {_limits(metadata)}".rstrip()
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"array of {_kind(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return " or ".join(json.dumps(member) for member in annotation)
    return _KINDS[origin or annotation]


def _limits(metadata: Iterable[Any]) -> str:
    """Describe the numeric limits of a field, as in `>= 0 and < 1`."""
    signs = [(sign, getattr(limit, word, None)) for limit in metadata for word, sign in _LIMITS.items()]
    return " and ".join(f"{sign} {_bound(bound)}" for sign, bound in signs if bound is not None)


def _bound(bound: float) -> str:
    """Return a limit as TOML: `1_000_000`, `0.05`."""
    return f"{bound:_}" if isinstance(bound, int) else f"{bound:g}"


def _nested(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the models inside a field's type: the type itself, or the types of the items of a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for argument in get_args(annotation) for model in _nested(argument))
