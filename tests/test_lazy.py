"""Packages that load their exports at the first use."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

from report_gen.lazy import lazy_exports

PACKAGES = ["report_gen.metrics", "report_gen.corpus_qc", "report_gen_training.data"]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_exported_name_is_found(name: str) -> None:
    package = import_module(name)
    for export in package.__all__:
        assert getattr(package, export) is not None


@pytest.mark.parametrize("name", PACKAGES)
def test_no_exported_name_is_hidden_by_a_module(name: str) -> None:
    package = import_module(name)
    assert not set(package.__all__) & {module.name for module in iter_modules(package.__path__)}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_import_of_a_package_loads_none_of_its_modules(name: str) -> None:
    program = f"import sys, {name}; print(*(module for module in sys.modules if module.startswith('{name}.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_other_names_are_refused() -> None:
    load = lazy_exports("report_gen.records", {"study": ("Study",)})
    assert load("Study").__module__ == "report_gen.records.study"
    with pytest.raises(AttributeError, match=r"module 'report_gen\.records' has no attribute 'Image'"):
        load("Image")
