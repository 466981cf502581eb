"""`learn_vocabulary`: round trips, small corpora, determinism, silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_gen_training.data.vocabulary import learn_vocabulary

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.records import Section, SectionName, Sentence, format_report, parse_report

# U+2581 is sentencepiece's mark for a blank, U+2585 its mark for what it cannot represent.
CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0▁▅")
TEXTS = st.lists(st.text(CHARACTERS), min_size=1)


def one_blank(text: str) -> str:
    return " ".join(text.split())


@given(TEXTS.filter(lambda texts: any(map(str.strip, texts))))
@settings(max_examples=50)
def test_decode_inverts_encode_for_every_character_of_the_training_texts(texts: list[str]) -> None:
    tokenizer = learn_vocabulary(texts, size=3000)
    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == [one_blank(text) for text in texts]


def test_a_report_survives_though_no_training_text_has_its_headings() -> None:
    sections = (
        Section(SectionName.FINDINGS, (Sentence("The lungs are clear."), Sentence("A nodule of 1.5 cm."))),
        Section(SectionName.IMPRESSION, (Sentence("1. Nodule!"), Sentence('2. "Query" (A/B) [c] {d}; 50% <3 @ #7.'))),
    )
    tokenizer = learn_vocabulary(["lungs clear"], size=200)
    assert parse_report(tokenizer.decode(tokenizer.encode(format_report(sections)))) == sections


def test_digits_are_single_pieces() -> None:
    tokenizer = learn_vocabulary(["At 1234 and 1234 and 1234."] * 20, size=300)
    assert len(tokenizer.encode("1234")) >= 4


def test_the_same_texts_give_the_same_vocabulary() -> None:
    texts = ["The lungs are clear.", "The heart is normal in size."] * 5
    assert learn_vocabulary(iter(texts), size=150).to_bytes() == learn_vocabulary(texts, size=150).to_bytes()


def test_a_small_corpus_gives_a_small_vocabulary() -> None:
    assert learn_vocabulary(["Clear."], size=8000).vocabulary_size < 200


def test_size_is_the_number_of_ids_when_the_corpus_is_rich_enough() -> None:
    texts = [f"{a}{b} is {b}{a}." for a in ("oste", "pleur", "card") for b in ("ology", "itis", "ic")]
    assert learn_vocabulary(texts, size=120).vocabulary_size == 120


def test_long_texts_are_not_skipped() -> None:
    assert 1 not in learn_vocabulary(["lungs " * 2000 + "½"], size=300).encode("½")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    learn_vocabulary(["The lungs are clear."], size=150)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(CorpusError, match="no report text to learn a vocabulary from"):
        learn_vocabulary(texts, size=100)


def test_a_size_below_the_characters_is_refused() -> None:
    with pytest.raises(CorpusError, match="20 pieces cannot represent"):
        learn_vocabulary(["The lungs are clear."], size=20)


@pytest.mark.realdata
def test_indiana_reports_survive_and_stay_short(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "iu_xray", layout="indiana")
    reports = {split: [] for split in ("train", "test")}
    for study in corpus.filter(lambda study: study["split"] != "val"):
        texts = [f"{name}: {study[name.lower()]}" for name in SectionName if study[name.lower()]]
        reports[study["split"]].append(" ".join(texts))
    tokenizer = learn_vocabulary(reports["train"], size=2500)
    ids = [tokenizer.encode(text) for text in reports["test"]]
    assert [tokenizer.decode(i) for i in ids] == [one_blank(text) for text in reports["test"]]
    assert sum(map(len, ids)) / len(ids) < 50
