"""PretrainedTokenizer: conversion, the same pieces as the source, cuts, and refused settings."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from report_gen.errors import CheckpointError
from report_gen.tokenizer import PretrainedTokenizer, SourceTokenizer, close_under_merges, convert, cut, source_rows
from report_gen.tokenizer.settings import PATTERNS
from tests.pretrained_models import (
    CONTROL,
    REPORT_SENTENCES,
    SENTENCES,
    SPECIAL,
    byte_level_bpe,
    lower_case_word_piece,
    source_of,
    unigram,
)

FOREIGN = (
    "Der Zug fährt um 12 Uhr.",
    "心臓は正常です。",
    "🫀 heart",
    "yesterday the football",
    "x\ty\n\nz",
    "<|im_end|>",
)
BPE = byte_level_bpe()
SOURCE = source_of(BPE)
WHOLE = convert(SOURCE)
UNIGRAM = unigram()
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


def cut_to_reports() -> PretrainedTokenizer:
    return cut(SOURCE, {piece for text in REPORT_SENTENCES for piece, _, _ in WHOLE.encode_spans(text)})


CUT = cut_to_reports()


def pieces(tokenizer: PretrainedTokenizer, text: str) -> list[str]:
    return [tokenizer.pieces[number] for number in tokenizer.encode(text)]


@pytest.mark.parametrize("text", [*SENTENCES, *FOREIGN[:4]])
def test_a_text_has_the_pieces_of_the_source(text: str) -> None:
    expected = BPE.encode(f" {text}").tokens  # byte-level tokenizers join the blank before a word to it
    assert pieces(WHOLE, text) == expected
    assert WHOLE.decode(WHOLE.encode(text)) == text


@pytest.mark.parametrize("tokenizer", [WHOLE, CUT], ids=["whole", "cut"])
@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_two_texts_are_reproduced_with_a_blank_between_them(
    tokenizer: PretrainedTokenizer, first: str, second: str
) -> None:
    first, second = (" ".join(text.split()) for text in (first, second))
    ids = [*tokenizer.encode(first), *tokenizer.encode(second)]
    assert tokenizer.decode(ids) == " ".join(text for text in (first, second) if text)
    assert min(ids, default=9) > tokenizer.eos_id


def test_names_of_control_tokens_are_text() -> None:
    for name in (*CONTROL, "<pad>", "</s>", "<pad>\n"):
        ids = WHOLE.encode(name)
        assert len(ids) > 1
        assert min(ids) > WHOLE.eos_id
        assert WHOLE.decode(ids) == name.strip()
    assert not set(CONTROL) & set(WHOLE.pieces)


def test_decode_drops_special_ids() -> None:
    ids = [2, *WHOLE.encode("No effusion."), 1, *WHOLE.encode("Small."), 3, 0]
    assert WHOLE.decode(ids) == "No effusion. Small."
    assert WHOLE.encode(" \n ") == []


def test_rows_name_the_token_of_the_source() -> None:
    rows = source_rows(SOURCE, WHOLE)
    assert rows[:4] == [2, 0, 1, 2]  # padding is the end token in this source
    assert [BPE.id_to_token(row) for row in rows[4:]] == list(WHOLE.pieces[4:])
    assert sorted({*rows, 3}) == list(range(BPE.get_vocab_size()))  # only the control token <repo_name> is left out
    kept = source_rows(SOURCE, CUT)
    assert [BPE.id_to_token(row) for row in kept[4:]] == list(CUT.pieces[4:])


def test_rows_of_another_model_are_refused() -> None:
    with pytest.raises(CheckpointError, match="the tokenizer of this run belongs to another model"):
        source_rows(source_of(byte_level_bpe(300)), WHOLE)


def test_a_source_without_begin_and_padding_uses_its_end_token() -> None:
    source = source_of(BPE, (None, None, None, "<|endoftext|>"))
    assert source_rows(source, convert(source))[:4] == [0, 0, 0, 0]
    with pytest.raises(CheckpointError, match=r'has no end token; set model\.decoder\.tokenizer = "own"'):
        convert(source_of(BPE, (None, None, None, None)))


def test_a_cut_keeps_the_pieces_of_its_texts_and_loses_others() -> None:
    assert all(pieces(CUT, text) == pieces(WHOLE, text) for text in REPORT_SENTENCES)
    assert CUT.vocabulary_size < WHOLE.vocabulary_size - 50
    assert "Ġfootball" in WHOLE.pieces
    assert "Ġfootball" not in CUT.pieces
    assert len(CUT.encode("football")) > len(WHOLE.encode("football"))


@pytest.mark.parametrize("text", FOREIGN)
def test_a_cut_reproduces_foreign_texts(text: str) -> None:
    assert CUT.decode(CUT.encode(text)) == " ".join(text.split())


def test_a_character_without_bytes_in_the_vocabulary_is_unknown() -> None:
    """SmolLM2, for one, has no token for the first byte of characters that no usual text has."""
    settings = json.loads(BPE.to_str())
    del settings["model"]["vocab"]["ñ"]  # stands for the byte F1
    source = SourceTokenizer("tiny", settings, SPECIAL)
    for tokenizer in (convert(source), cut(source, {"Ġheart"})):
        assert tokenizer.unk_id in tokenizer.encode("heart \U00040000")
        assert tokenizer.decode(tokenizer.encode("heart é")) == "heart é"


def test_closure_under_merges() -> None:
    merges = [["a", "b"], ["c", "d"], ["ab", "cd"], ["b", "c"], ["a", "bc"], ["abc", "d"], ["x", "y"]]
    assert close_under_merges({"abcd"}, merges) == {"abcd", "ab", "cd", "abc", "bc", "a", "b", "c", "d"}


def test_words_added_to_a_vocabulary_stay_one_piece() -> None:
    tokenizer = byte_level_bpe()
    tokenizer.add_tokens([AddedToken("hydropneumothorax", normalized=False)])
    source = source_of(tokenizer)
    whole = convert(source)
    assert "hydropneumothorax" in pieces(whole, "A hydropneumothorax.")
    assert whole.decode(whole.encode("A hydropneumothorax.")) == "A hydropneumothorax."
    assert source_rows(source, whole)[-1] == tokenizer.token_to_id("hydropneumothorax")
    few = cut(source, {"hydropneumothorax"})
    assert "hydropneumothorax" in few.pieces
    assert few.decode(few.encode("A hydropneumothorax.")) == "A hydropneumothorax."


@given(ASCII)
@settings(max_examples=50, deadline=None)
def test_a_unigram_vocabulary_is_converted(text: str) -> None:
    source = source_of(UNIGRAM, ("<pad>", "<unk>", None, "</s>"))
    whole = convert(source)
    line = " ".join(text.split())
    assert pieces(whole, line) == UNIGRAM.encode(line).tokens or "<" in line  # its names are no control tokens here
    assert whole.decode(whole.encode(line)) == line
    assert source_rows(source, whole)[:4] == [0, 1, 2, 2]


def test_only_byte_level_bpe_is_cut() -> None:
    with pytest.raises(CheckpointError, match=r'not a byte-level BPE.*set model\.decoder\.tokenizer = "pretrained"'):
        cut(source_of(UNIGRAM, ("<pad>", "<unk>", None, "</s>")), {"▁the"})


def test_a_tokenizer_that_changes_texts_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match=r'tiny: not a supported tokenizer .*set model\.decoder\.tokenizer = "own"'
    ):
        convert(source_of(lower_case_word_piece(), ("[PAD]", "[UNK]", None, "[SEP]")))


def test_bytes_give_the_same_tokenizer_and_the_library_reads_them() -> None:
    again = PretrainedTokenizer.from_bytes(WHOLE.to_bytes())
    assert again.to_bytes() == WHOLE.to_bytes()
    assert again.pieces == WHOLE.pieces
    assert Tokenizer.from_str(WHOLE.to_bytes().decode()).encode(" The heart.").ids == again.encode("The heart.")


def replaced(part: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.__setitem__(part, value)


def in_model(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["model"].update(changes)


GROWTH = {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaa"}
BACKTRACKING = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}

HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "regular expression": replaced("pre_tokenizer", BACKTRACKING),
    "growth": replaced("normalizer", {"type": "Sequence", "normalizers": [GROWTH] * 16}),
    "long text": replaced("normalizer", {"type": "Prepend", "prepend": "a" * 10_000}),
    "empty pattern": replaced("normalizer", {"type": "Replace", "pattern": {"String": ""}, "content": ""}),
    "unknown step": replaced("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "nested": replaced("decoder", {"type": "Sequence", "decoders": [{"type": "Sequence", "decoders": []}]}),
    "many steps": replaced("decoder", {"type": "Sequence", "decoders": [{"type": "Fuse"}] * 10_000}),
    "a list": replaced("pre_tokenizer", [1]),
    "type no text": replaced("pre_tokenizer", {"type": ["ByteLevel"]}),
    "padding": replaced("padding", {"strategy": {"Fixed": 2**40}, "direction": "Right", "pad_id": 0}),
    "post_processor": replaced("post_processor", {"type": "TemplateProcessing"}),
    "unknown part": replaced("code", "import os"),
    "lower case": replaced("normalizer", {"type": "Lowercase"}),
    "chance": in_model(dropout=0.5),
    "unknown token": in_model(unk_token=SPECIAL[0]),
    "prefix of a BPE": in_model(continuing_subword_prefix="##"),
    "other model": in_model(type="Custom"),
    "ids apart": lambda content: content["model"]["vocab"].update({"zz": 2**40}),
    "negative id": lambda content: content["model"]["vocab"].update({"zz": -1}),
    "id twice": lambda content: content["model"]["vocab"].update({"zz": 7}),
    "id no number": lambda content: content["model"]["vocab"].update({"zz": True}),
    "no slots": lambda content: content["model"].update(vocab={"a": 0, "b": 1, "c": 2, "d": 3}, merges=[]),
    "merge unknown": lambda content: content["model"]["merges"].append(["zz", "yy"]),
    "merge no pair": lambda content: content["model"]["merges"].append(["a"]),
    "surrogate": lambda content: content["model"]["vocab"].update({"\ud800": len(content["model"]["vocab"])}),
    "long piece": lambda content: content["model"]["vocab"].update({"z" * 5000: len(content["model"]["vocab"])}),
    "special added": replaced(
        "added_tokens",
        [
            {
                "id": len(WHOLE.pieces),
                "content": "effusion",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
    ),
    "added no number": replaced("added_tokens", [{"id": None, "content": "x"}]),
    "no vocabulary": in_model(vocab=None),
    "no model": replaced("model", None),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_settings_that_harm_or_deceive_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    content = copy.deepcopy(json.loads(WHOLE.to_bytes()))
    change(content)
    with pytest.raises(
        CheckpointError, match=r"^f/tokenizer\.json: not a supported tokenizer \(.*use another checkpoint"
    ):
        PretrainedTokenizer.from_bytes(json.dumps(content).encode(), name="f/tokenizer.json")


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"model": {}, "model": {}}', b'{"model": 1}', b"1" * 10_000, b"NaN"],
)
def test_data_that_are_no_tokenizer_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a supported tokenizer"):
        PretrainedTokenizer.from_bytes(data)


def llama_2(vocabulary: int = 500) -> Tokenizer:
    """Train a BPE as Llama 2 has one: blanks are `▁`, and characters without a piece become bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))  # noqa: S106 - a piece
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    control = ["<unk>", "<s>", "</s>"]
    special = [*control, *(f"<0x{code:02X}>" for code in range(256))]
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=special))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in control]
    return Tokenizer.from_str(json.dumps(content))


def gemma() -> Tokenizer:
    """Train a BPE as Gemma has one: the blank before a word is joined to it, and nothing stands before a text."""
    tokenizer = llama_2()
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def split_by(pattern: str) -> Tokenizer:
    """Train a byte-level BPE whose words a regular expression finds, as Llama 3 and Qwen 2 have one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


KINDS = {"llama 2": (llama_2, ""), "gemma": (gemma, " ")} | {
    f"pattern {number}": (partial(split_by, pattern), " ") for number, pattern in enumerate(sorted(PATTERNS))
}


@pytest.mark.parametrize(("make", "prefix"), KINDS.values(), ids=KINDS)
def test_widespread_kinds_of_tokenizers_are_converted(make: Callable[[], Tokenizer], prefix: str) -> None:
    tokenizer = make()
    source = source_of(tokenizer, (None, "<unk>", "<s>", "</s>"))
    whole = convert(source)
    for text in (*SENTENCES, "It's 12.5 cm; don't"):
        assert pieces(whole, text) == tokenizer.encode(prefix + text).tokens
        assert whole.decode([*whole.encode(text), *whole.encode("Größe 3 µm.")]) == f"{text} Größe 3 µm."
    assert source_rows(source, whole)[:4] == [2, 0, 1, 2]
