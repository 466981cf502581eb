"""Tokenizers and language models of Hugging Face that tests train and write themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from report_gen.tokenizer import SourceTokenizer

SENTENCES = (
    "The heart is normal in size.",
    "The heart is enlarged.",
    "The lungs are clear.",
    "The lungs are clear bilaterally.",
    "There is no pleural effusion.",
    "There is a small left pleural effusion.",
    "No pneumothorax.",
    "No pneumothorax or pleural effusion is seen.",
    "Mild cardiomegaly.",
    "Stable cardiomegaly with mild pulmonary edema.",
    "Patchy opacity in the right lower lobe.",
    "Pneumonia in the left lower lobe is possible.",
    "The mediastinum is unremarkable.",
    "No acute cardiopulmonary disease.",
    "No acute osseous abnormality.",
    "An old fracture of the 7th rib measures 1.5 cm.",
    "The book on the table is green and heavy.",
    "Yesterday the children played football in the garden.",
    "A train to the northern mountains leaves at noon.",
    "Bread, butter and cheese are in the kitchen.",
)
"""Sentences of reports, and four of other texts, whose words a cut to the reports removes."""

REPORT_SENTENCES = SENTENCES[:16]

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>")
SPECIAL = ("<|im_end|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Padding, unknown, begin and end, as SmolLM2 has them: padding is the end token."""


def byte_level_bpe(size: int = 600) -> Tokenizer:
    """Train a byte-level BPE as GPT-2 has one, with control tokens at the ids 0 to 3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    """Train a Unigram vocabulary with blanks as `▁`, as T5 has one, of the printable ASCII characters."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<unk>", "</s>"],
        unk_token="<unk>",  # noqa: S106 - a piece
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def lower_case_word_piece() -> Tokenizer:
    """Train the kind of vocabulary that BERT has, which lower-cases."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a piece
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def source_of(tokenizer: Tokenizer, special: tuple[str | None, ...] = SPECIAL) -> SourceTokenizer:
    return SourceTokenizer("tiny", json.loads(tokenizer.to_str()), special)


def write_pretrained(folder: Path, transformer: dict[str, Any], tokenizer: Tokenizer | None = None) -> PreTrainedModel:
    """Write a pretrained model with its tokenizer in the format of transformers. Its embeddings have padding rows."""
    tokenizer = byte_level_bpe() if tokenizer is None else tokenizer
    pad, unk, bos, eos = SPECIAL
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, unk_token=unk, bos_token=bos, eos_token=eos
    ).save_pretrained(folder)
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        **transformer, vocab_size=tokenizer.get_vocab_size() + 7, bos_token_id=1, eos_token_id=2, pad_token_id=2
    )
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return model
