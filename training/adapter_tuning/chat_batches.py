"""Join answered chats into batches, and compute the loss of their answers."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from report_gen.backends import IGNORED_LABEL, AnsweredChat


@dataclass(frozen=True, kw_only=True)
class ChatBatch:
    """B answered chats, padded on the right to L positions."""

    inputs: Mapping[str, torch.Tensor]
    """Inputs of the model by their names."""
    labels: torch.Tensor
    """[B,L] token that follows each position, `IGNORED_LABEL` outside the answers."""

    @property
    def tokens(self) -> int:
        """Number of tokens of the answers, end tokens included."""
        return int((self.labels != IGNORED_LABEL).sum())


def join_chats(chats: Iterable[AnsweredChat]) -> list[ChatBatch]:
    """Join chats whose images have the same shape; others become batches of their own."""
    groups: dict[tuple[object, ...], list[AnsweredChat]] = defaultdict(list)
    for chat in chats:
        groups[tuple((name, *tensor.shape[1:]) for name, tensor in sorted(chat.images.items()))].append(chat)
    return [_join(group) for group in groups.values()]


def answer_loss(model: Any, batch: ChatBatch) -> torch.Tensor:
    """Return the sum of the cross-entropies of all answer tokens of a batch, nats.

    Args:
        model: Model of transformers.
        batch: The chats.
    """
    length = batch.labels.shape[1]
    is_answer = (batch.labels != IGNORED_LABEL).any(dim=0)  # [L]
    first = int(is_answer.nonzero()[0])
    options: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        # Logits over a vocabulary of 262,144 would take 0.5 MB for each token of the prompt and of the images.
        options["logits_to_keep"] = torch.arange(first, length, device=batch.labels.device)
    logits = model(**batch.inputs, **options).logits[:, first - length :]  # [B,L-first,vocabulary]
    return F.cross_entropy(
        logits.flatten(0, 1).float(), batch.labels[:, first:].flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
    )


def _join(chats: Sequence[AnsweredChat]) -> ChatBatch:
    sequences = {name: _pad([chat.sequences[name] for chat in chats], name) for name in chats[0].sequences}
    images = {name: torch.cat([chat.images[name] for chat in chats]) for name in chats[0].images}
    labels = pad_sequence([chat.labels for chat in chats], batch_first=True, padding_value=IGNORED_LABEL)
    return ChatBatch(inputs={**sequences, **images}, labels=labels)


def _pad(rows: Sequence[torch.Tensor], name: str) -> torch.Tensor:
    """Join rows [L_i] to [B,L]. Padding follows the answer, so that no token of a chat attends to it.

    It repeats the last value, which is valid wherever the answer is: a text token, of the type of the answer.
    """
    length = max(len(row) for row in rows)
    return torch.stack(
        [
            torch.cat([row, row.new_full((length - len(row),), 0 if name == "attention_mask" else int(row[-1]))])
            for row in rows
        ]
    )
