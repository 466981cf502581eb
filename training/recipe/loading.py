"""Recipes read from TOML, with `--set key=value` on top, checked at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from report_gen.errors import RecipeError

from .explain import explain
from .schema import Recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe:
    """A recipe by file, or by the name of one that comes with the package, with `key.key=value` settings on top.

    `key=` without a value takes the key away, so that its default holds.

    Raises:
        RecipeError: it cannot be read, or a key is unknown or ill-typed; the message names the nearest key.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        path = RECIPES / f"{name_or_path}.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise RecipeError(f"{name_or_path}: no such recipe; give a TOML file or one of {known}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML ({error}); correct that line") from error
    for setting in settings:
        _apply(tree, setting)
    try:
        return Recipe.model_validate(tree)
    except pydantic.ValidationError as error:
        raise RecipeError(f"{path}: {_explain_fault(error)}") from error


def _apply(tree: dict[str, Any], setting: str) -> None:
    """Set one dotted key; numbers address the items of a list, as in `stages.0.steps=10`."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}: write key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    node: Any = tree
    try:
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        if text or isinstance(node, list):
            node[int(last) if isinstance(node, list) else last] = value
        else:
            node.pop(last, None)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise RecipeError(f"--set {setting}: the recipe has no such place") from error


def _explain_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] != "extra_forbidden":
        return f"{where or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}"
    keys = sorted({key.name for table in explain() for key in table.keys} | {table.name for table in explain()})
    near = difflib.get_close_matches(str(fault["loc"][-1]), keys, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; report-gen train --explain lists the keys"
    return f"unknown key {where!r}{hint}"
