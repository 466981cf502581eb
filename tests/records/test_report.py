"""`parse_report` and `format_report` are inverse; sentences end where a radiologist would end them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.corpora import read_corpus
from report_gen.records import (
    Section,
    SectionName,
    Sentence,
    format_report,
    parse_report,
    split_sentences,
    strip_controls,
)

WORDS = st.sampled_from(
    ["heart", "1.5", "cm", "Dr.", "Smith", "T.", "spine", "approx.", "3", "T12", "(old)", "clear,", "e.g."]
)
SENTENCES = st.builds(
    lambda start, words, stop: Sentence(f"{' '.join([start, *words])} seen{stop}"),
    st.sampled_from(["The", "No", "12", "XXXX", "(Probably)", '"Coin']),
    st.lists(WORDS),
    st.sampled_from([".", "!", "?", '."', ".)"]),
)
SECTIONS = st.lists(st.builds(Section, st.sampled_from(SectionName), st.lists(SENTENCES, min_size=1).map(tuple)))
FRAGMENTS = st.sampled_from(
    [
        "COMPARISON",
        "FINDINGS",
        "IMPRESSION",
        ":",
        " ",
        "\n",
        "\x1c",
        ".",
        "!",
        "1.",
        "2.",
        "3",
        "Dr.",
        "A",
        "b",
        '"',
        "(",
        "½",
        "É",
    ]
)
TEXTS = st.text() | st.lists(FRAGMENTS).map("".join)


def sentences(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


@given(SECTIONS.map(tuple))
def test_parse_inverts_format(sections: tuple[Section, ...]) -> None:
    assert parse_report(format_report(sections)) == sections


@given(TEXTS)
def test_format_inverts_parse(text: str) -> None:
    sections = parse_report(text)
    assert parse_report(format_report(sections)) == sections


@given(TEXTS)
def test_no_word_is_lost_between_sentences(text: str) -> None:
    assert " ".join(sentences(text)) == " ".join(text.split())


def test_sections_keep_their_order() -> None:
    sections = parse_report("IMPRESSION: Normal. FINDINGS :\nClear lungs. No effusion.")
    assert [(section.name, section.text) for section in sections] == [
        (SectionName.IMPRESSION, "Normal."),
        (SectionName.FINDINGS, "Clear lungs. No effusion."),
    ]
    assert format_report(sections) == "IMPRESSION:\nNormal.\n\nFINDINGS:\nClear lungs. No effusion."


def test_text_before_the_first_heading_is_findings_and_empty_sections_are_omitted() -> None:
    assert parse_report("Clear. IMPRESSION: ") == (Section(SectionName.FINDINGS, (Sentence("Clear."),)),)
    assert parse_report(" \n") == ()
    assert format_report(()) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Clear lungs. No effusion", ["Clear lungs.", "No effusion"]),
        ("A 1.5 cm nodule. 3 ribs.", ["A 1.5 cm nodule.", "3 ribs."]),
        ("Nodule of approx. 3 cm. Called to Dr. Smith.", ["Nodule of approx. 3 cm.", "Called to Dr. Smith."]),
        ("T. Spine (e.g. T12) vs. XXXX.", ["T. Spine (e.g. T12) vs. XXXX."]),
        ("T. spine is intact.", ["T. spine is intact."]),
        ("1. No acute process. 2. Stable heart.", ["1. No acute process.", "2. Stable heart."]),
        ("1. Cardiomegaly 2. Low volumes 3. Clear", ["1. Cardiomegaly", "2. Low volumes", "3. Clear"]),
        ("1. Fracture of rib 7. Stable. 2. Clear.", ["1. Fracture of rib 7.", "Stable.", "2. Clear."]),
        ("The nodule measures 2. The heart is big.", ["The nodule measures 2.", "The heart is big."]),
        (
            'So-called "coin." Old (healed.) New? Yes! "Quote."',
            ['So-called "coin."', "Old (healed.)", "New?", "Yes!", '"Quote."'],
        ),
        ("the heart is normal . no effusion .", ["the heart is normal .", "no effusion ."]),
        ("Seen at 3 p.m. Clear.", ["Seen at 3 p.m.", "Clear."]),
        ("  ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_control_characters_are_removed() -> None:
    assert strip_controls("a\x1b[31m\tb\r\nc\x9b\u202ed\0 \u2028é\u200b") == "a[31m b cd é"


@pytest.mark.realdata
def test_indiana_texts_are_unchanged_and_no_list_number_is_a_sentence(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "iu_xray", layout="indiana")
    texts = [text for name in ("findings", "impression") for text in corpus[name]]
    assert all(parse_report(format_report(parse_report(text))) == parse_report(text) for text in texts)
    numbers = Counter(sentence for text in texts for sentence in sentences(text) if sentence[:-1].isdigit())
    assert numbers.total() == 0
