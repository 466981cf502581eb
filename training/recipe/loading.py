"""Load recipes from TOML, apply `--set key=value` settings, and check the result."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pydantic

from report_gen.errors import RecipeError

from .adapter_tuning import TuningRecipe
from .explain import KeyTable, explain
from .run_settings import RunSettings
from .schema import Recipe

RECIPES = Path(__file__).parents[1] / "recipes"

_LARGEST = 2**20
"""Largest recipe file, bytes."""
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, and the surrogates that stand for bytes of the command line that are not UTF-8."""
_VARIANTS = ("constrained-", "float", "literal[", "tuple[")
"""Beginnings of the names that pydantic gives to the alternatives of a value; they are not keys."""

RENAMED_KEYS = {
    "recombined": "augmented_texts",
    "reconcile": "drop_contradictions",
    "longest": "max_report_tokens",
    "rarity": "rare_finding_weight",
    "forget_states": "state_dropout",
    "forget_attributes": "attribute_dropout",
    "forget_indication": "indication_dropout",
    "average": "ema_decay",
    "reward": "scst",
    "scst.findings": "finding_f1_weight",
    "scst.cider": "cider_weight",
    "choose_by": "checkpoint_metric",
    "drafts": "validation_drafts",
    "fewest_distinct": "min_distinct",
    "model.modalities": "scope.modalities",
    "model.views": "scope.views",
}
"""Keys of version 0.1 -> current keys, for error messages. A dot separates a key from its table, where that matters."""


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe:
    """Load a recipe with stages; see `load_any_recipe`.

    Raises:
        RecipeError: As in `load_any_recipe`, or the recipe fine-tunes a published model.
    """
    recipe = load_any_recipe(name_or_path, settings)
    if isinstance(recipe, TuningRecipe):
        raise RecipeError(f"{name_or_path}: fine-tunes the model {recipe.model!r}; give a recipe with stages")
    return recipe


def load_any_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe | TuningRecipe:
    """Load a recipe file, or a recipe of the package by name, and apply `key.key=value` settings.

    A recipe whose `model` is a text, not a table, fine-tunes that model.

    `key=` without a value removes the key, so that its default applies.

    Raises:
        RecipeError: The file cannot be read, or a key is unknown, renamed or has a wrong value; the message names the
            key to use.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and (not path.exists() or path.is_dir()):
        path = RECIPES / f"{name_or_path}.toml"
    tree = _read(path, name_or_path)
    for setting in settings:
        _apply(tree, setting)
    _check_strings(path, tree)
    kind = TuningRecipe if isinstance(tree.get("model"), str) else Recipe
    try:
        return kind.model_validate(tree)
    except pydantic.ValidationError as error:
        raise RecipeError(f"{path}: {_describe_fault(error, kind)}") from error


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise RecipeError(f"{path}: not a regular file; give a TOML file")
        if size > _LARGEST:
            raise RecipeError(f"{path}: has more than {_LARGEST // 2**20} MiB, so it is not a recipe; give a TOML file")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise RecipeError(f"{name}: no such recipe; give a TOML file or one of {known}") from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and arrays in arrays
        raise RecipeError(f"{path}: not valid TOML ({error}); correct that line") from error


def _check_strings(path: Path, tree: dict[str, Any]) -> None:
    """Refuse characters that no file name can have, and that `recipe.json` cannot store."""
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}", one) for name, one in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{key}.{number}", one) for number, one in enumerate(value)]
        elif isinstance(value, str) and _UNUSABLE.search(value):
            raise RecipeError(f"{path}: {key[1:]}: contains a NUL character or bytes that are not UTF-8; remove them")


def _apply(tree: dict[str, Any], setting: str) -> None:
    """Set one dotted key; numbers select items of a list, as in `stages.0.steps=10`."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}: write key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"--set {key}: the value cannot be read ({error}); correct it") from error
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
        raise RecipeError(
            f"--set {setting}: the recipe has no such key; report-gen train --explain lists the keys"
        ) from error


def describe_renamed_keys(error: pydantic.ValidationError) -> str:
    """Name all keys of version 0.1 in a recipe with their current names; empty if there are none."""
    renamed = []
    for fault in error.errors():
        key = ".".join(map(str, fault["loc"]))
        for old, new in RENAMED_KEYS.items():
            if fault["type"] == "extra_forbidden" and f".{key}".endswith(f".{old}"):
                renamed.append(f"the key {key!r} is now called {new!r}")
    return ", ".join(renamed)


def _describe_fault(error: pydantic.ValidationError, kind: type[RunSettings]) -> str:
    """Describe one fault of a recipe: the key, what is wrong, what to do."""
    if renamed := describe_renamed_keys(error):
        return f"{renamed}; rename it" if renamed.count(" is now called ") == 1 else f"{renamed}; rename them"
    # A misspelled key is also reported as a missing one; only its own fault names it.
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    fault = faults[0]
    where = ".".join(str(part) for part in fault["loc"] if not str(part).startswith(_VARIANTS))
    if fault["type"] != "extra_forbidden":
        return f"{where or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}"
    tables = list(explain(kind))
    keys = sorted({key.name for table in tables for key in table.keys} | {table.name for table in tables})
    near = difflib.get_close_matches(str(fault["loc"][-1]), keys, n=1)
    places = _places(where, near[0], tables) if near else []
    hint = f"did you mean {' or '.join(map(repr, places))}?" if places else "report-gen train --explain lists the keys"
    return f"unknown key {where!r}; {hint}"


def _places(unknown: str, name: str, tables: Sequence[KeyTable]) -> list[str]:
    """Return what to write instead of an unknown key.

    Args:
        unknown: Dotted key, with numbers for the items of lists.
        name: Known key or table that resembles its last part.
        tables: All tables of a recipe.

    Returns:
        The name alone if the table of the unknown key has it, else the dotted keys of the first tables that have it.
    """
    repeated = {table.path for table in tables if table.repeated}
    owners = [table.path for table in tables if any(key.name == name for key in table.keys)]
    owners += [table.path.rpartition(".")[0] for table in tables if table.path and table.name == name]
    parent = ".".join(part for part in unknown.split(".")[:-1] if not part.isdigit())
    # The path of a table of several kinds ends with its kind: model.preprocessing.0.clahe
    if any(parent in (owner, f"{owner}.{parent.rpartition('.')[2]}") for owner in owners if owner or not parent):
        return [name]
    return [_dotted(owner, name, repeated) for owner in dict.fromkeys(owners)][:3]


def _dotted(table: str, name: str, repeated: Collection[str]) -> str:
    """Return the key of a table as `--set` takes it, with the number of the first item of each list."""
    parts = table.split(".") if table else []
    items = [(part, "0") if ".".join(parts[: place + 1]) in repeated else (part,) for place, part in enumerate(parts)]
    return ".".join([*chain.from_iterable(items), name])
