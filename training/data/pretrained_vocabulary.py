"""Keep the tokenizer of a pretrained decoder, whole or cut to the tokens that the training reports use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from report_gen.errors import CorpusError
from report_gen.model import load_source_tokenizer
from report_gen.records import DESCRIBING_SECTIONS
from report_gen.tokenizer import PretrainedTokenizer, ReportTokenizer, convert, cut, source_rows

from ..recipe import ModelRecipe
from .vocabulary import WORD, PatientText, rare_words


def keep_vocabulary(
    model: ModelRecipe, texts: Iterable[PatientText], *, min_patients: int = 1, extra: Iterable[str] = ()
) -> PretrainedTokenizer:
    """Return the tokenizer of the pretrained decoder of a recipe.

    Args:
        model: The model of a recipe whose `decoder.tokenizer` is not `own`.
        texts: Training reports and their indications; they decide which tokens a cut keeps.
        min_patients: A word that fewer patients have in their texts decides nothing, because it may be the name of a
            person; shorter tokens encode it.
        extra: Lines that decide as well, such as the prompt.

    Raises:
        CheckpointError: There is no such decoder, or its tokenizer is not supported.
        CorpusError: There is no text to decide which tokens are kept.
    """
    source = load_source_tokenizer(str(model.decoder_weights))
    whole = convert(source)
    if model.decoder.tokenizer == "pretrained":
        return whole
    texts = [one for one in texts if one.text.strip()]
    if not texts:
        raise CorpusError("the corpora contain no report text to cut a vocabulary to; check the training split")
    rare = rare_words(texts, min_patients)
    lines = chain((" ".join(f"{name}:" for name in DESCRIBING_SECTIONS),), extra)
    used = {piece for one in texts for piece in _frequent_pieces(whole, one.text, rare)}
    return cut(source, used | {piece for line in lines for piece, _, _ in whole.encode_spans(line)})


def token_rows(model: ModelRecipe, tokenizer: ReportTokenizer) -> list[int] | None:
    """Return the row of the pretrained embeddings for every id of a tokenizer; None if they are not kept.

    Raises:
        CheckpointError: The tokenizer is not that of the pretrained decoder.
    """
    if not isinstance(tokenizer, PretrainedTokenizer):
        return None
    return source_rows(load_source_tokenizer(str(model.decoder_weights)), tokenizer)


def _frequent_pieces(tokenizer: PretrainedTokenizer, text: str, rare: set[str]) -> Iterator[str]:
    """Yield the pieces of a text outside of its rare words."""
    line = " ".join(text.split())
    spans = [word.span() for word in WORD.finditer(line) if word[0].casefold() in rare]
    for piece, start, end in tokenizer.encode_spans(line):
        if not any(start < last and first < end for first, last in spans):
            yield piece
