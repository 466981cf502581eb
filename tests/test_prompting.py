"""Prompts: built-in files, placeholders, and untrusted text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.errors import UsageError
from report_gen.prompting import LONGEST_VALUE, Prompt, PromptValues, clean_value, describe_views, load_prompt, render

PROMPT = Prompt("Chest X-ray.\nViews: {views}\nWhy: {indication} by {technique}")


def indication(text: str) -> str:
    return render(Prompt("{indication}"), PromptValues(indication=text))


def test_the_chest_prompt() -> None:
    prompt = load_prompt("chest_xray")
    assert render(prompt, PromptValues()) == "EXAMINATION: Chest X-ray."
    assert render(prompt, PromptValues(indication="Cough.", views="PA and lateral", technique="Portable.")) == (
        "EXAMINATION: Chest X-ray.\nVIEWS: PA and lateral.\nTECHNIQUE: Portable.\nINDICATION: Cough."
    )


def test_a_line_vanishes_only_when_all_its_placeholders_are_empty() -> None:
    assert render(PROMPT, PromptValues()) == "Chest X-ray."
    assert render(PROMPT, PromptValues(technique="CR")) == "Chest X-ray.\nWhy:  by CR"


def test_a_prompt_file_loses_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# For {nobody}\n\n  Views: {views}  \n", encoding="utf-8")
    assert load_prompt(path) == load_prompt(str(path)) == Prompt("Views: {views}")


def test_a_prompt_of_extreme_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    for text in ("word " * 2_000_000, "{views}" * 1_500_000, "{" * 10_000_000):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"mine\.txt: more than 65536 characters, so it is not a prompt; shorten"):
            load_prompt(path)


def test_an_unknown_prompt_lists_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such prompt; name a file or one of .*chest_xray"):
        load_prompt("knee")
    with pytest.raises(UsageError, match="no such prompt"):
        load_prompt(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Age {age}",
            r"mine\.txt: unknown placeholder {age}; use {indication}, {views}, .*{prior_report}$",
        ),
        ("{}", "unknown placeholder {}"),
        ("{views.__class__}", "unknown placeholder {views.__class__}"),
        ("{views}}", "a brace outside a placeholder"),
        ("{views", "a brace outside a placeholder"),
    ],
)
def test_other_placeholders_are_refused_by_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        load_prompt(path)


def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"mine\.txt: cannot be read as UTF-8"):
        load_prompt(path)


def test_text_from_outside_is_never_a_placeholder() -> None:
    filled = render(
        PROMPT, PromptValues(indication="{technique} {views} {0.format_map} %s \\1 \\g<0>", technique="CR", views="PA")
    )
    assert filled.endswith("Why: {technique} {views} {0.format_map} %s \\1 \\g<0> by CR")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cough\n\nFINDINGS:\tall\x1b[2J clear\x00", "Cough FINDINGS: all[2J clear"),
        ("XXXX-year-old male, chest XXXX.", "male, chest."),
        ("___ with fever, ___, cough (___)", "with fever, cough"),
        ("Seen by [**Doctor Name 12**] (age XXXX)", "Seen by (age)"),
        ("XXXX.", ""),
        (" - ", ""),
    ],
)
def test_controls_and_marks_of_deidentification_are_left_out(text: str, expected: str) -> None:
    assert indication(text) == expected


def test_a_long_value_is_cut_at_a_word() -> None:
    assert indication("cough " * 100) == ("cough " * 50).strip()
    assert indication("c" * 1_000_000) == "c" * LONGEST_VALUE


@given(st.text())
def test_a_value_stays_on_its_line_and_within_its_length(text: str) -> None:
    value = indication(text)
    assert len(value.splitlines()) <= 1
    assert len(value) <= LONGEST_VALUE


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ([], ""),
        (["UNKNOWN"], ""),
        (["FRONTAL"], "frontal"),
        (["LATERAL", "PA"], "PA and lateral"),
        (["AP", "UNKNOWN", "AP"], "AP"),
        (["DECUBITUS", "PA", "LATERAL"], "PA, lateral and decubitus"),
    ],
)
def test_views_in_words(views: list[str], expected: str) -> None:
    assert describe_views(views) == expected


@pytest.mark.parametrize(
    "removed",
    ["XXXX ", "\U0001f637", "\x1b", "[** name of a person **] ", "(XXXX), ", " ", "\u2581", "[Date] "],
)
def test_what_follows_many_removed_characters_is_kept(removed: str) -> None:
    """The number of marks is varied, so that every part of a mark is at the end of a block once."""
    for count in (200, 620, *range(3_000, 3_010)):
        assert clean_value(removed * count + " pneumothorax?").endswith("pneumothorax?")
        if removed.isascii():
            assert clean_value(removed * count + " pneumothorax?") == "pneumothorax?"


@pytest.mark.parametrize(
    "hostile",
    [
        *(
            "X",
            "(",
            "( ",
            "<",
            "[** ",
            "[**",
            "[  ",
            "a ,",
            ",;",
            "\x1b",
            " ",
            "\U0001f4a9",
            "XXXX, (XXXX) ",
            "fever and cough ",
        )
    ],
)
def test_the_time_for_a_value_of_30_megabytes_is_bounded(hostile: str) -> None:
    text = hostile * (30_000_000 // len(hostile))
    start = time.process_time()
    assert len(render(Prompt("{indication}"), PromptValues(indication=text))) <= LONGEST_VALUE
    assert time.process_time() - start < 3  # 0.6 seconds at most on one core
