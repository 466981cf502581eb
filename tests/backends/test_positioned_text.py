"""Positions of characters in texts from which markup was removed."""

from __future__ import annotations

import re

from report_gen.backends.positioned_text import PositionedText


def test_replaced_text_keeps_its_positions() -> None:
    text = PositionedText.from_spans("a **b c** d", [(0, 11)])
    bold = text.substitute(
        re.compile(r"\*\*(\w) (\w)\*\*"), lambda match: ("<", match.span(1), "-", match.span(2), ">")
    )
    assert bold.text == "a <b-c> d"
    assert list(bold.positions) == [0, 1, 2, 4, 4, 6, 6, 9, 10]
    assert bold.cut(3, 6).span == (4, 7)


def test_several_spans_are_joined() -> None:
    text = PositionedText.from_spans("one <x> two", [(0, 4), (8, 11)])
    assert (text.text, list(text.positions)) == ("one two", [0, 1, 2, 3, 8, 9, 10])
    assert PositionedText.from_spans("x", []).span == (0, 0)


def test_single_spaces() -> None:
    text = PositionedText.from_spans(" a \n b ", [(0, 7)]).single_spaced()
    assert (text.text, list(text.positions)) == ("a b", [1, 2, 5])


def test_a_match_that_stays() -> None:
    text = PositionedText.from_spans("aXbX", [(0, 4)])
    assert text.substitute(re.compile("X"), lambda match: None if match.start() == 1 else ()).text == "aXb"
