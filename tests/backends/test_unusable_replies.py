"""Replies with endless text, without a report, and of hostile servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.backends import ParsedReply, Reply, parse_reply


def parse(text: str) -> ParsedReply:
    return parse_reply(Reply(text=text))


def sentences(parsed: ParsedReply) -> dict[str, list[str]]:
    return {section.name.value: [one.text for one in section.sentences] for section in parsed.text.sections}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the reply is empty"),
        (" \n\t", "the reply is empty"),
        ("<think></think>", "the reply is empty"),
        (
            "<think>The lungs are clear.",
            "the reply is a thinking part that was not finished, without an answer",
        ),
        ('{"name": "x", "text": "The lungs are clear."}', "the reply is JSON without findings and impression"),
        ("...!?", 'no sentence of the reply describes an image: "...!?"'),
        ("1 2 3\n4", 'no sentence of the reply describes an image: "1 2 3 4"'),
        (
            "Roses are red,\nviolets are blue.",
            'no sentence of the reply describes an image: "Roses are red, violets are blue."',
        ),
        ("a" * 300, f'no sentence of the reply describes an image: "{"a" * 200}..."'),
        ("Okay.", 'no sentence of the reply describes an image: "Okay."'),
        ("FINDINGS:\n\nIMPRESSION:", 'no sentence of the reply describes an image: "FINDINGS: IMPRESSION:"'),
    ],
)
def test_a_reply_without_a_report_says_why(text: str, problem: str) -> None:
    parsed = parse(text)
    assert parsed.text.sections == ()
    assert (parsed.problem, parsed.refusal) == (problem, "")


def test_repeated_sentences_are_left_out() -> None:
    parsed = parse("FINDINGS: " + "The lungs are clear. The heart is normal. " * 3 + "IMPRESSION: The lungs are clear.")
    assert sentences(parsed) == {
        "FINDINGS": ["The lungs are clear.", "The heart is normal."],
        "IMPRESSION": ["The lungs are clear."],
    }
    assert parsed.notices == ("the model repeated itself: 4 repetitions left out",)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("No effusion. No focal opacity, no focal opacity, no focal opacity, no", "No effusion.\nNo focal opacity."),
        ("No effusion. The heart is no no no no", "No effusion."),
        ("No effusion. There is no evidence of no evidence of no evidence of no", "No effusion."),
        ("No effusion. A very, very small nodule.", "No effusion.\nA very, very small nodule."),
        ("No effusion. Sizes 1 1 1 1 mm.", "No effusion.\nSizes 1 1 1 1 mm."),
    ],
)
def test_loops_inside_a_sentence_are_cut(text: str, kept: str) -> None:
    assert sentences(parse(text)) == {"FINDINGS": kept.split("\n")}


def test_endless_text_is_left_out() -> None:
    words = " ".join(f"word{number}" for number in range(401))
    parsed = parse(f"The lungs are clear. The {words}. The {'ah' * 51}.")
    assert sentences(parsed) == {"FINDINGS": ["The lungs are clear."]}
    assert parsed.notices == ("2 sentences left out: too long, or too many in a section",)
    counted = parse(" ".join(f"Nodule {number} is stable." for number in range(250)))
    assert len(counted.text.sections[0].sentences) == 200


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "*",
            "<think>",
            "#",
            "\n",
            "_",
            "`",
            "|",
            "- ",
            "<",
            "&",
            "[",
            "{",
            '{"',
            "\\",
            "A: ",
            "FINDINGS: ",
            "AB C: ",
        ),
        *("**a", "no ", "x", "\n|-", "\r", "# #", "</think>", "ASSISTANT: ", "1. ", ": ", "\n> ", " \t", "Findings\n"),
    ],
)
def test_hostile_replies_of_a_million_characters_return(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    parsed = parse(f"{text}The lungs are clear.{text}")
    assert parsed.text.sections or parsed.problem


def test_a_reply_of_many_headings_returns() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    parsed = parse(
        "".join(f"{one}{two}{three}INGS: Clear. " for one in letters for two in letters for three in letters)
    )
    assert parsed.text.sections


_UNITS = st.sampled_from(
    [
        *("FINDINGS:", "**Impression:** ", "\n", "\n\n", "- ", "The lungs are clear.", "No edema", "*", "**", "_", "`"),
        *(
            " ",
            "<think>",
            "</think>",
            "|",
            "| a | b |",
            "{",
            '"findings": ',
            '"',
            "}",
            "1. ",
            "&amp;",
            "XXXX",
            "#",
            ":",
        ),
        *("[", "]", "I'm sorry, ", "Here is the report: "),
    ]
)


@given(st.one_of(st.text(), st.lists(_UNITS, max_size=40).map("".join)))
def test_any_reply_is_parsed(text: str) -> None:
    parsed = parse_reply(
        Reply(text=text, token_ends=tuple(range(1, len(text) + 1)), probabilities=(0.5,) * len(text)), "Write a report."
    )
    assert bool(parsed.text.sections) != bool(parsed.problem)
    assert not parsed.refusal or not parsed.text.sections
    for section in parsed.text.sections:
        assert section.sentences
        for sentence in section.sentences:
            assert sentence.text == " ".join(sentence.text.split())
            assert sentence.confidence == pytest.approx(0.5)
    assert len({section.name for section in parsed.text.sections}) == len(parsed.text.sections)
