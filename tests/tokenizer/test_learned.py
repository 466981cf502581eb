"""LearnedTokenizer: ids, special ids, round trips and refused data."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.data.vocabulary import learn_vocabulary
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from report_gen.errors import CheckpointError
from report_gen.tokenizer import LearnedTokenizer, ReportTokenizer
from tests.builders import patient_texts

TEXTS = ["The lungs are clear. No effusion.", "The heart is enlarged. Small left effusion."]


@pytest.fixture(scope="module")
def tokenizer() -> ReportTokenizer:
    return learn_vocabulary(patient_texts(TEXTS), size=200)


def test_encode_puts_no_special_ids_around_the_text(tokenizer: ReportTokenizer) -> None:
    ids = tokenizer.encode("The lungs are clear.")
    assert min(ids) > tokenizer.eos_id
    assert max(ids) < tokenizer.vocabulary_size


def test_special_ids(tokenizer: ReportTokenizer) -> None:
    processor = SentencePieceProcessor(model_proto=tokenizer.to_bytes())
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    assert [processor.IdToPiece(i) for i in range(4)] == ["<pad>", "<unk>", "<s>", "</s>"]


def test_decode_drops_special_ids(tokenizer: ReportTokenizer) -> None:
    first, second = tokenizer.encode("No effusion."), tokenizer.encode("Small.")
    ids = [tokenizer.bos_id, *first, tokenizer.unk_id, *second, tokenizer.eos_id, tokenizer.pad_id]
    assert tokenizer.decode(ids) == "No effusion. Small."


def test_names_of_special_pieces_in_a_text_stay_text(tokenizer: ReportTokenizer) -> None:
    ids = tokenizer.encode("</s> <pad>")
    assert tokenizer.eos_id not in ids
    assert tokenizer.decode(ids) == "</s> <pad>"


def test_an_unseen_character_is_unknown(tokenizer: ReportTokenizer) -> None:
    assert tokenizer.unk_id in tokenizer.encode("☃")
    assert tokenizer.encode("") == []


def test_bytes_give_the_same_tokenizer(tokenizer: ReportTokenizer) -> None:
    again = LearnedTokenizer.from_bytes(tokenizer.to_bytes())
    assert again.to_bytes() == tokenizer.to_bytes()
    assert again.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


def test_two_texts_are_separated_by_a_blank(tokenizer: ReportTokenizer) -> None:
    assert tokenizer.decode([*tokenizer.encode("No effusion."), *tokenizer.encode("Clear.")]) == "No effusion. Clear."


@pytest.mark.parametrize("data", [b"", b"not a model", b"\0" * 100])
def test_other_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"folder/tokenizer\.model: not a sentencepiece model"):
        LearnedTokenizer.from_bytes(data, name="folder/tokenizer.model")


def test_a_model_with_other_special_ids_is_refused(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(TEXTS), encoding="utf-8")
    prefix = tmp_path / "foreign"
    SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(prefix), vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    with pytest.raises(CheckpointError, match="special ids"):
        LearnedTokenizer.from_bytes(prefix.with_suffix(".model").read_bytes())
