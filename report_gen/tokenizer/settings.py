"""Check the settings of a Hugging Face tokenizer, which may come from an untrusted source.

Only settings on these lists reach the library `tokenizers`. They split a text into pieces and join pieces again; none
of them can load a file, run code, depend on chance, or let a text grow without bound. A regular expression can take
exponential time, so only those of widespread tokenizers are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from report_gen.tokenizer.interface import UNK_ID

SLOTS = ("<pad>\n", "<unk>\n", "<s>\n", "</s>\n")
"""Pieces with the special ids. No text has a line break when it is encoded, so no text has these pieces."""

MAX_PIECES = 2**20
"""Largest number of pieces of a vocabulary."""

_MAX_PIECE = 1024
"""Largest number of characters of a piece."""
_MAX_TEXT = 8
"""Largest number of characters of a setting that is a text, such as a replacement."""
_MAX_STEPS = 16

_REPLACE = ("pattern", "content")
_BYTE_LEVEL = ("add_prefix_space", "trim_offsets", "use_regex")
_METASPACE = ("replacement", "prepend_scheme", "split")

_STEPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "normalizer": {"NFC": (), "Prepend": ("prepend",), "Replace": _REPLACE},
    "pre_tokenizer": {
        "BertPreTokenizer": (),
        "ByteLevel": _BYTE_LEVEL,
        "Digits": ("individual_digits",),
        "Metaspace": _METASPACE,
        "Punctuation": ("behavior",),
        "Split": ("pattern", "behavior", "invert"),
        "Whitespace": (),
        "WhitespaceSplit": (),
    },
    "decoder": {
        "BPEDecoder": ("suffix",),
        "ByteFallback": (),
        "ByteLevel": _BYTE_LEVEL,
        "Fuse": (),
        "Metaspace": _METASPACE,
        "Replace": _REPLACE,
        "Strip": ("content", "start", "stop"),
        "WordPiece": ("prefix", "cleanup"),
    },
}
"""The steps of each part of a tokenizer, and their settings. A part may also be a sequence of such steps."""

_SEQUENCES = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "decoder": "decoders"}

_WORDS = ("behavior", "prepend_scheme")
"""Settings that are one of a few words, which the library checks."""

_NUMBERS = r"\p{N}{1,3}"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = frozenset(
    {
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|{_LETTERS}|{_NUMBERS}|{_REST}",  # Llama 3
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|{_LETTERS}|\p{{N}}|{_REST}",  # Qwen 2
    }
)
"""Regular expressions that may split a text into words."""

_MODELS: Mapping[str, tuple[str, ...]] = {
    "BPE": (
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "byte_fallback",
        "ignore_merges",
        "merges",
    ),
    "Unigram": ("unk_id", "byte_fallback"),
    "WordLevel": ("unk_token",),
    "WordPiece": ("unk_token", "continuing_subword_prefix", "max_input_chars_per_word"),
}
"""Settings of the kinds of vocabularies."""

_ADDED = {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}


def check_settings(settings: Any) -> list[str]:
    """Check the content of a `tokenizer.json` that `convert` wrote.

    Returns:
        The pieces in the order of their ids.

    Raises:
        ValueError: A setting is unknown or out of bounds, or the first ids are not the special ones.
    """
    parts = {"version", "truncation", "padding", "added_tokens", "post_processor", "model", *_STEPS}
    if not isinstance(settings, dict) or settings.keys() - parts or not isinstance(settings.get("model"), dict):
        raise ValueError("not the settings of a tokenizer")
    for part in ("truncation", "padding", "post_processor"):
        if settings.get(part) is not None:
            raise ValueError(f"{part} is not allowed")
    for part in _STEPS:
        _check_part(part, settings.get(part))
    pieces = [*_check_model(settings["model"])]
    pieces += _check_added(settings.get("added_tokens", []), first=len(pieces))
    if tuple(pieces[: len(SLOTS)]) != SLOTS or len(set(pieces)) < len(pieces):
        raise ValueError("the first pieces are not the special ones, or a piece occurs twice")
    return pieces


def _check_part(part: str, step: Any) -> None:
    if step is None:
        return
    if not isinstance(step, dict):
        raise ValueError(f"{part} is not an object")
    steps: Any = [step]
    if step.get("type") == "Sequence":
        steps = step.get(_SEQUENCES[part])
        if not isinstance(steps, list) or len(steps) > _MAX_STEPS or step.keys() != {"type", _SEQUENCES[part]}:
            raise ValueError(f"{part} is not a sequence of at most {_MAX_STEPS} steps")
    for one in steps:
        kind = one.get("type") if isinstance(one, dict) else None
        known = _STEPS[part].get(kind) if isinstance(kind, str) else None
        if known is None or one.keys() - {"type", *known}:
            raise ValueError(f"{part}: {str(kind)[:50]!r} is not supported, or has unknown settings")
        for key in one.keys() - {"type"}:
            _check_setting(f"{part}.{kind}.{key}", key, one)


def _check_setting(name: str, key: str, step: Mapping[str, Any]) -> None:
    value = step[key]
    if key == "pattern":
        _check_pattern(name, value, step.get("content"))
    elif isinstance(value, str):
        if len(value) > _MAX_TEXT and key not in _WORDS:
            raise ValueError(f"{name} has more than {_MAX_TEXT} characters")
    elif not (isinstance(value, bool) or value is None or (isinstance(value, int) and 0 <= value <= _MAX_TEXT)):
        raise ValueError(f"{name} is out of bounds")


def _check_pattern(name: str, pattern: Any, content: Any) -> None:
    """Check a pattern: a listed regular expression, or a text that is not shorter than its replacement."""
    if not isinstance(pattern, dict) or len(pattern) != 1:
        raise ValueError(f"{name} is not a pattern")
    ((kind, text),) = pattern.items()
    if kind == "Regex" and content is None:
        if not isinstance(text, str) or text not in PATTERNS:
            raise ValueError(f"{name}: the regular expression is not on the list of supported ones")
    elif kind != "String" or not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT:
        raise ValueError(f"{name} is not a text of 1 to {_MAX_TEXT} characters")
    elif content is not None and (not isinstance(content, str) or len(content) > len(text)):
        raise ValueError(f"{name} is shorter than its replacement")


def _check_model(model: Mapping[str, Any]) -> list[str]:
    """Check a vocabulary and return its pieces in the order of their ids."""
    kind = model.get("type")
    known = _MODELS.get(kind) if isinstance(kind, str) else None
    if known is None or model.keys() - {"type", "vocab", *known}:
        raise ValueError(f"model: {str(kind)[:50]!r} is not supported, or has unknown settings")
    for key in model.keys() - {"type", "vocab", "merges", "unk_token", "unk_id", "max_input_chars_per_word"}:
        _check_setting(f"model.{key}", key, model)
    if model.get("dropout") is not None or model.get("unk_token") not in (None, SLOTS[UNK_ID]):
        raise ValueError("model: dropout, or another unknown token, is not allowed")
    longest_word = model.get("max_input_chars_per_word", 0)
    if not isinstance(longest_word, int) or not 0 <= longest_word <= _MAX_PIECE:
        raise ValueError("model.max_input_chars_per_word is out of bounds")
    if kind == "Unigram":
        return _check_scores(model)
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or len(vocabulary) > MAX_PIECES:
        raise ValueError(f"model.vocab is not an object of at most {MAX_PIECES} pieces")
    pieces = [""] * len(vocabulary)
    for piece, number in vocabulary.items():
        if type(number) is not int or not 0 <= number < len(pieces) or pieces[number] or not _is_piece(piece):
            raise ValueError("model.vocab does not number its pieces from 0")
        pieces[number] = piece
    if kind == "BPE":
        _check_merges(model, vocabulary)
    return pieces


def _check_scores(model: Mapping[str, Any]) -> list[str]:
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, list) or len(vocabulary) > MAX_PIECES or model.get("unk_id") != UNK_ID:
        raise ValueError(f"model.vocab is not a list of at most {MAX_PIECES} pieces, or unk_id is not {UNK_ID}")
    for row in vocabulary:
        if not isinstance(row, list) or len(row) != 2 or not _is_piece(row[0]) or not _is_score(row[1]):
            raise ValueError("model.vocab is not a list of pieces with scores")
    return [row[0] for row in vocabulary]


def _check_merges(model: Mapping[str, Any], vocabulary: Mapping[str, int]) -> None:
    if model.get("continuing_subword_prefix"):  # the library panics if a piece has no such prefix
        raise ValueError("model.continuing_subword_prefix is not supported for a BPE")
    merges = model.get("merges")
    if not isinstance(merges, list) or len(merges) > MAX_PIECES:
        raise ValueError(f"model.merges is not a list of at most {MAX_PIECES} merges")
    for merge in merges:
        if not isinstance(merge, list) or len(merge) != 2 or not all(isinstance(part, str) for part in merge):
            raise ValueError("model.merges is not a list of pairs of pieces")
        if any(piece not in vocabulary for piece in (*merge, merge[0] + merge[1])):
            raise ValueError("model.merges has a piece that model.vocab lacks")


def _check_added(tokens: Any, *, first: int) -> Iterator[str]:
    """Yield the contents of pieces that were added to a vocabulary; their ids follow those of the vocabulary."""
    if not isinstance(tokens, list) or len(tokens) > MAX_PIECES:
        raise ValueError("added_tokens is not a list")
    for number, token in enumerate(tokens):
        if not isinstance(token, dict) or token.keys() != _ADDED or type(token["id"]) is not int:
            raise ValueError("added_tokens has an entry that is not a piece")
        flags = [token[key] for key in ("special", "lstrip", "rstrip")]
        others = [token[key] for key in ("single_word", "normalized")]
        if token["id"] != first + number or any(flag is not False for flag in flags):
            raise ValueError("added_tokens are not numbered after the vocabulary, are special, or remove blanks")
        if not _is_piece(token["content"]) or not all(isinstance(flag, bool) for flag in others):
            raise ValueError("added_tokens has an entry that is not a piece")
        yield token["content"]


def _is_piece(piece: Any) -> bool:
    return isinstance(piece, str) and 0 < len(piece) <= _MAX_PIECE


def _is_score(score: Any) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and isfinite(score)
