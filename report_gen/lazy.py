"""Load the exports of a package at their first use, so that importing the package imports none of its modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that loads an exported name at its first use (PEP 562).

    An exported name must not be the name of a module of the package: the import of that module would hide it.

    Args:
        package: Name of the package, `__name__` in its `__init__.py`.
        modules: Names that the package exports, by the module that defines them, relative to the package.

    Returns:
        A function that returns the value of an exported name and raises AttributeError for other names.
    """
    homes = {name: f"{package}.{module}" for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # Python calls `__getattr__` for missing names only
        return value

    return load
