"""`learn_vocabulary`: round trips, small corpora, determinism, silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_gen_training.data.vocabulary import PatientText, learn_vocabulary
from sentencepiece import SentencePieceProcessor

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.records import DESCRIBING_SECTIONS, Section, SectionName, Sentence, format_report, parse_report
from tests.builders import patient_texts

# U+2581 is sentencepiece's mark for a blank, U+2585 its mark for what it cannot represent.
CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0▁▅")
TEXTS = st.lists(st.text(CHARACTERS), min_size=1)


def one_blank(text: str) -> str:
    return " ".join(text.split())


@given(TEXTS.filter(lambda texts: any(map(str.strip, texts))))
@settings(max_examples=50)
def test_decode_inverts_encode_for_every_character_of_the_training_texts(texts: list[str]) -> None:
    tokenizer = learn_vocabulary(patient_texts(texts), size=3000)
    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == [one_blank(text) for text in texts]


def test_a_report_survives_though_no_training_text_has_its_headings() -> None:
    sections = (
        Section(SectionName.FINDINGS, (Sentence("The lungs are clear."), Sentence("A nodule of 1.5 cm."))),
        Section(SectionName.IMPRESSION, (Sentence("1. Nodule!"), Sentence('2. "Query" (A/B) [c] {d}; 50% <3 @ #7.'))),
    )
    tokenizer = learn_vocabulary(patient_texts(["lungs clear"]), size=200)
    assert parse_report(tokenizer.decode(tokenizer.encode(format_report(sections)))) == sections


def test_digits_are_single_pieces() -> None:
    tokenizer = learn_vocabulary(patient_texts(["At 1234 and 1234 and 1234."] * 20), size=300)
    assert len(tokenizer.encode("1234")) >= 4


def test_the_same_texts_give_the_same_vocabulary() -> None:
    texts = patient_texts(["The lungs are clear.", "The heart is normal in size."] * 5)
    assert learn_vocabulary(iter(texts), size=150).to_bytes() == learn_vocabulary(texts, size=150).to_bytes()


def test_a_small_corpus_gives_a_small_vocabulary() -> None:
    assert learn_vocabulary(patient_texts(["Clear."]), size=8000).vocabulary_size < 200


def test_size_is_the_number_of_ids_when_the_corpus_is_rich_enough() -> None:
    texts = [f"{a}{b} is {b}{a}." for a in ("oste", "pleur", "card") for b in ("ology", "itis", "ic")]
    assert learn_vocabulary(patient_texts(texts), size=120).vocabulary_size == 120


def test_long_texts_are_not_skipped() -> None:
    assert 1 not in learn_vocabulary(patient_texts(["lungs " * 2000 + "½"]), size=300).encode("½")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    learn_vocabulary(patient_texts(["The lungs are clear."]), size=150)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(CorpusError, match="no report text to learn a vocabulary from"):
        learn_vocabulary(patient_texts(texts), size=100)


def test_a_size_below_the_characters_is_refused() -> None:
    with pytest.raises(CorpusError, match="20 pieces cannot represent"):
        learn_vocabulary(patient_texts(["The lungs are clear."]), size=20)


def names_in_pieces(texts: list[PatientText], *, min_patients: int) -> set[str]:
    """Return the letters of those pieces of the vocabulary that contain a part of a name that occurs in the texts."""
    tokenizer = learn_vocabulary(texts, size=400, min_patients=min_patients)
    model = SentencePieceProcessor(model_proto=tokenizer.to_bytes())
    pieces = {model.id_to_piece(index).strip("▁") for index in range(model.vocab_size())}
    return {piece for piece in pieces if len(piece) > 1 and piece in "Zbigniew Żółkowski ZBIGNIEW İbrahim ΠΑΠΑΔΟΠΟΥΛΟΣ"}


@pytest.mark.parametrize(
    "name", ["Zbigniew Żółkowski", "(Zbigniew-Żółkowski)", "ZBIGNIEW, Żółkowski.", "İbrahim ΠΑΠΑΔΟΠΟΥΛΟΣ.Α"]
)
def test_a_word_of_few_patients_becomes_no_piece(name: str) -> None:
    common = patient_texts(f"The lungs are clear {number}." for number in range(9))
    named = [PatientText(f"Mr. {name} has clear lungs.", patient) for patient in ("a", "b") for _ in range(9)]
    made = [PatientText(f"The lungs of {name} are clear.", "")] * 9  # texts made from sentences count for no patient
    texts = [*common, *named, *made]
    assert names_in_pieces(texts, min_patients=2)
    assert not names_in_pieces(texts, min_patients=3)
    tokenizer = learn_vocabulary(texts, size=400, min_patients=3)
    assert tokenizer.decode(tokenizer.encode(named[0].text)) == named[0].text


def test_a_word_is_counted_in_any_case() -> None:
    texts = patient_texts(["Effusion.", "No effusion.", "EFFUSION.", "effusion", "(Effusion)"])
    tokenizer = learn_vocabulary(texts, size=400, min_patients=5)
    assert len(tokenizer.encode("effusion")) == 1


@pytest.mark.realdata
def test_indiana_reports_survive_and_stay_short(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "iu_xray", layout="indiana")
    reports = {split: [] for split in ("train", "test")}
    for study in corpus.filter(lambda study: study["split"] != "val"):
        texts = [f"{name}: {study[name.lower()]}" for name in DESCRIBING_SECTIONS if study[name.lower()]]
        reports[study["split"]].append(" ".join(texts))
    tokenizer = learn_vocabulary(patient_texts(reports["train"]), size=2500)
    ids = [tokenizer.encode(text) for text in reports["test"]]
    assert [tokenizer.decode(i) for i in ids] == [one_blank(text) for text in reports["test"]]
    assert sum(map(len, ids)) / len(ids) < 50
