"""The frame of HTML pages."""

from __future__ import annotations

import re

import pytest

from report_gen.rendering import Bar, draw_bars, render_document


def test_no_control_character_of_a_text_reaches_a_page() -> None:
    name = "\x1b]0;title\x07\x9b31m\u202e\u2066\udce9\r"
    chart = draw_bars([Bar(label=name, value=1.0, interval=None, note=name)], top=1.0, title=name)
    page = render_document(name, ["<p>line</p>\n\t<p>放射 é</p>", chart, f"<p>{name}</p>"])
    assert all(c.isprintable() or c in "\n\t" for c in page)
    assert "<p>line</p>\n\t<p>放射 é</p>" in page
    assert r"<p>\u001b]0;title\u0007\u009b31m\u202e\u2066\udce9\r</p>" in page


@pytest.mark.parametrize(("top", "last"), [(0.1642, "0.164"), (1.0, "1"), (1845.0, "1845"), (10.5, "10.5")])
def test_the_ends_of_the_scale_are_written_below_bars(top: float, last: str) -> None:
    chart = draw_bars([Bar(label="a", value=top, interval=None, note="b")], top=top, title="c")
    assert re.findall(r"<text[^>]*>([^<]*)</text>", chart) == ["a", "b", "0", last]
