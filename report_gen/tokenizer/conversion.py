"""Convert the tokenizer of a pretrained language model for the training of a decoder, whole or cut to a corpus."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel

from report_gen.errors import CheckpointError
from report_gen.tokenizer.interface import UNK_ID
from report_gen.tokenizer.pretrained import PretrainedTokenizer
from report_gen.tokenizer.settings import SLOTS


@dataclass(frozen=True)
class SourceTokenizer:
    """The tokenizer of a pretrained language model, with its own ids."""

    name: str
    """Name of the model in error messages."""
    settings: Mapping[str, Any]
    """Its `tokenizer.json`."""
    special: tuple[str | None, ...]
    """Its tokens for padding, unknown characters, begin and end; None for those that it lacks."""

    @property
    def ids(self) -> dict[str, int]:
        """Ids by piece, added ones included."""
        vocabulary = self.settings["model"]["vocab"]
        rows = vocabulary.items() if isinstance(vocabulary, dict) else ((row[0], n) for n, row in enumerate(vocabulary))
        return dict(rows) | {token["content"]: token["id"] for token in self.settings.get("added_tokens", ())}


def convert(source: SourceTokenizer, kept: AbstractSet[str] | None = None) -> PretrainedTokenizer:
    """Return a tokenizer that splits texts as its source does, with the special ids of `ReportTokenizer`.

    Control tokens other than padding, unknown, begin and end are left out: no report has them. Names of control tokens
    in a text are encoded as text.

    Args:
        source: Tokenizer of the model.
        kept: Pieces to keep, closed under the merges; None keeps all.

    Raises:
        CheckpointError: The tokenizer has settings that are not supported, no end token, or does not reproduce texts.
    """
    _end(source)
    added = source.settings.get("added_tokens") or []
    control = {token["content"] for token in added if token["special"]} | {name for name in source.special if name}
    words = [
        token
        for token in added
        if token["content"] not in control
        and not (token["lstrip"] or token["rstrip"])  # such tokens would remove blanks
        and (kept is None or token["content"] in kept)
    ]
    left_out = control | {token["content"] for token in added}
    pieces = [piece for piece in _in_order(source) if piece not in left_out and (kept is None or piece in kept)]
    settings = {
        **source.settings,
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "model": _renumber(source, pieces),
        "added_tokens": [token | {"id": len(SLOTS) + len(pieces) + number} for number, token in enumerate(words)],
    }
    data = json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        return PretrainedTokenizer.from_bytes(data, name=source.name)
    except CheckpointError as error:
        reason = str(error).removeprefix(f"{source.name}: ").partition(";")[0]
        raise CheckpointError(f'{source.name}: {reason}; set model.decoder.tokenizer = "own"') from error


def cut(source: SourceTokenizer, used: Iterable[str]) -> PretrainedTokenizer:
    """Return a tokenizer with the used pieces of a byte-level BPE, its bytes, and what their merges need.

    A text of used pieces is split into the same pieces as before, because every merge on the way to them is kept, and
    the others never applied to it. Any other text is split into shorter pieces, at worst into bytes.

    Args:
        source: Tokenizer of the model.
        used: Pieces, in the spelling of the vocabulary.

    Raises:
        CheckpointError: As `convert`, or the tokenizer is not a byte-level BPE.
    """
    alphabet = source.ids.keys() & set(ByteLevel.alphabet())  # many lack bytes that no usual text has
    first = source.settings.get("pre_tokenizer") or {}
    kinds = {step.get("type") for step in first.get("pretokenizers", (first,))}
    if source.settings["model"].get("type") != "BPE" or "ByteLevel" not in kinds:
        raise CheckpointError(
            f"{source.name}: its tokenizer is not a byte-level BPE, so it cannot be cut; "
            'set model.decoder.tokenizer = "pretrained"'
        )
    return convert(source, close_under_merges(alphabet | set(used), _merges(source)))


def close_under_merges(pieces: Collection[str], merges: Iterable[list[str]]) -> set[str]:
    """Return the pieces with both parts of every merge that makes one of them, and so on for the parts."""
    parts: dict[str, list[str]] = {}
    for first, second in merges:
        parts.setdefault(first + second, []).extend((first, second))
    closed, waiting = set(pieces), list(pieces)
    while waiting:
        new = set(parts.get(waiting.pop(), ())) - closed
        closed |= new
        waiting += new
    return closed


def source_rows(source: SourceTokenizer, tokenizer: PretrainedTokenizer) -> list[int]:
    """Return the id in the source of every id of a tokenizer that was made from it.

    The special ids that the source lacks have the embedding of its end token.

    Raises:
        CheckpointError: The source lacks a piece, so the tokenizer was made from another model.
    """
    ids, end = source.ids, _end(source)
    special = [ids.get(name, ids[end]) if name else ids[end] for name in source.special]
    try:
        return special + [ids[piece] for piece in tokenizer.pieces[len(SLOTS) :]]
    except KeyError as error:
        raise CheckpointError(
            f"{source.name}: has no token {str(error)[:50]}, so the tokenizer of this run belongs to another model; "
            "give the model that the run was started with"
        ) from error


def _in_order(source: SourceTokenizer) -> list[str]:
    """Return the pieces of a vocabulary, without added ones, in the order of their ids."""
    vocabulary = source.settings["model"]["vocab"]
    if isinstance(vocabulary, dict):
        return sorted(vocabulary, key=vocabulary.__getitem__)
    return [piece for piece, _ in vocabulary]


def _renumber(source: SourceTokenizer, pieces: list[str]) -> dict[str, Any]:
    """Return the vocabulary of a source with the special pieces first and then some of its own."""
    model = dict(source.settings["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {piece: number for number, piece in enumerate((*SLOTS, *pieces))}
    else:
        scores = dict(model["vocab"])
        lowest = min(scores.values())
        model["vocab"] = [*([slot, lowest] for slot in SLOTS), *([piece, scores[piece]] for piece in pieces)]
        model["unk_id"] = UNK_ID
    if "merges" in model:
        model["merges"] = [merge for merge in _merges(source) if {*merge, "".join(merge)} <= model["vocab"].keys()]
    if model["type"] != "Unigram":  # characters without a piece would be lost without a trace
        model["unk_token"] = SLOTS[UNK_ID]
    return model


def _merges(source: SourceTokenizer) -> list[list[str]]:
    """Return the merges as pairs; older files have them as texts with a blank."""
    merges = source.settings["model"].get("merges", ())
    return [merge.split(" ") if isinstance(merge, str) else list(merge) for merge in merges]


def _end(source: SourceTokenizer) -> str:
    """Return the end token of a model, or the begin token of one without."""
    end = source.special[3] or source.special[2]
    if end is None or end not in source.ids:
        raise CheckpointError(f'{source.name}: its tokenizer has no end token; set model.decoder.tokenizer = "own"')
    return end
