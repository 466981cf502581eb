"""A sentencepiece vocabulary, learnt from the training reports only."""

from __future__ import annotations

import io
import string
from collections.abc import Iterable

from sentencepiece import SentencePieceTrainer

from report_gen.errors import CorpusError
from report_gen.records.report import SectionName
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, ReportTokenizer


def learn_vocabulary(texts: Iterable[str], *, size: int, also: Iterable[str] = ()) -> ReportTokenizer:
    """A vocabulary of at most `size` pieces; a small corpus gives fewer. The same texts give the same vocabulary.

    Every printable ASCII character is in it, so an indication typed by hand and the headings of a report are never
    unknown. No normalisation: what is decoded is what was encoded.

    Args:
        also: what the model has to read beside the texts.

    Raises:
        CorpusError: when no text is left, or `size` cannot hold the characters of the texts.
    """
    lines = [line for line in (" ".join(text.split()) for text in texts) if line]
    if not lines:
        raise CorpusError("No report text to learn a vocabulary from; check the corpus and its training split.")
    lines += [" ".join(f"{name}:" for name in SectionName), *also]
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",  # 18 % fewer tokens for an Indiana report than unigram, at 2,500 pieces
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            required_chars="".join(c for c in string.printable if not c.isspace()),
            normalization_rule_name="identity",
            split_digits=True,
            max_sentence_length=max(len(line.encode()) for line in lines),  # longer ones would be skipped in silence
            pad_id=PAD_ID,
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            num_threads=1,  # the sums of several threads depend on their order
            minloglevel=2,
        )
    except RuntimeError as error:
        raise CorpusError(f"{size} pieces cannot hold the characters of these texts; allow more.") from error
    return ReportTokenizer.from_bytes(model.getvalue())
