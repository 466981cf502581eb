"""The draft of the tests of the output formats."""

from tests.outputs.conftest import report

__all__ = ["report"]
