"""Marked differences of a draft and its reference."""

from __future__ import annotations

from report_gen.metrics import mark_differences


def test_words_that_the_other_text_lacks_are_marked_on_each_side() -> None:
    draft, reference = mark_differences("Both lungs are clear.", "The lungs and the heart are clear")
    assert draft == "<mark>Both</mark> lungs are clear."
    assert reference == "<mark>The</mark> lungs <mark>and</mark> <mark>the</mark> <mark>heart</mark> are clear"


def test_case_and_punctuation_make_no_difference_and_markup_is_escaped() -> None:
    assert mark_differences("Clear, <b>", "clear <b>;") == ("Clear, &lt;b&gt;", "clear &lt;b&gt;;")
