"""Progress where there is no terminal."""

from __future__ import annotations

import builtins

import pytest

from report_gen.terminal import bars


def test_bars_in_a_notebook_are_plain_lines_that_ask_for_no_widgets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class ZMQInteractiveShell:
        """By this name rich knows a notebook."""

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    with bars() as shown:
        shown.show("drafting", 3, 3)
        shown.say("one line that stays")
    written = capsys.readouterr().err
    assert "one line that stays" in written
    assert "3/3" in written
