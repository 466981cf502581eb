"""The baseline loop of a tutorial: transformers' `Trainer` around a `VisionEncoderDecoderModel`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import (
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTModel,
)

from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID

from ..data import IGNORED

_CHANNELS = 3


@dataclass(frozen=True)
class Pair:
    """An image and its report."""

    image: Path
    report_ids: tuple[int, ...]


@dataclass(frozen=True)
class Epochs:
    """Time and loss of a training loop, one entry per epoch."""

    seconds: tuple[float, ...]
    """Training seconds, without validation."""
    validation_losses: tuple[float, ...]
    """Nats per report token, end token included."""


def train_plainly(
    reference: ReportModel,
    train: Sequence[Pair],
    val: Sequence[Pair],
    *,
    epochs: int,
    batch_size: int,
    rate: float,
    frozen: bool,
    seed: int,
    folder: Path,
) -> Epochs:
    """Train a model with the encoder and decoder sizes of `reference`; images are decoded each time they are needed."""
    torch.manual_seed(seed)
    size = reference.config.encoder.image_size
    model = _build(reference)
    model.encoder.requires_grad_(not frozen)
    recorder = _Recorder(DataLoader(_Pairs(val, size), batch_size=batch_size, collate_fn=_collate))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=epochs,
            per_device_train_batch_size=batch_size,
            learning_rate=rate,
            warmup_steps=0.05,
            weight_decay=0.01,
            lr_scheduler_type="cosine",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_num_workers=2,
            remove_unused_columns=False,
            use_cpu=not torch.cuda.is_available(),
            seed=seed,
        ),
        train_dataset=_Pairs(train, size),
        data_collator=_collate,
        callbacks=[recorder],
    )
    trainer.train()
    return Epochs(tuple(recorder.seconds), tuple(recorder.losses))


def _build(reference: ReportModel) -> VisionEncoderDecoderModel:
    """Build a randomly initialized ViT and GPT-2 of the reference's sizes."""
    vit = reference.encoder.backbone
    encoder = ViTConfig(
        hidden_size=vit.embed_dim,
        num_hidden_layers=len(vit.blocks),
        num_attention_heads=vit.blocks[0].attn.num_heads,
        intermediate_size=vit.blocks[0].mlp.fc1.out_features,
        image_size=reference.config.encoder.image_size,
        patch_size=vit.patch_embed.patch_size[0],
        num_channels=_CHANNELS,
    )
    decoder = type(reference.decoder.language_model.config).from_dict(
        reference.decoder.language_model.config.to_dict() | {"add_cross_attention": True, "is_decoder": True}
    )
    model = VisionEncoderDecoderModel(
        encoder=ViTModel(encoder, add_pooling_layer=False), decoder=GPT2LMHeadModel(decoder)
    )
    model.config.decoder_start_token_id, model.config.pad_token_id = BOS_ID, PAD_ID
    return model


class _Pairs(Dataset[tuple[torch.Tensor, list[int]]]):
    def __init__(self, pairs: Sequence[Pair], size: int) -> None:
        self._pairs, self._size = pairs, size

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, list[int]]:
        pair = self._pairs[index]
        with PIL.Image.open(pair.image) as image:
            square = np.asarray(image.convert("RGB").resize((self._size, self._size)), dtype=np.float32)
        return torch.from_numpy(square).permute(2, 0, 1) / 127.5 - 1, [*pair.report_ids, EOS_ID]


def _collate(rows: list[tuple[torch.Tensor, list[int]]]) -> dict[str, torch.Tensor]:
    length = max(len(ids) for _, ids in rows)
    return {
        "pixel_values": torch.stack([square for square, _ in rows]),
        "labels": torch.tensor([[*ids, *[IGNORED] * (length - len(ids))] for _, ids in rows]),
    }


class _Recorder(TrainerCallback):  # type: ignore[misc]
    """Records the seconds of every epoch, and the mean loss per validation token after it."""

    def __init__(self, val: DataLoader[Any]) -> None:
        self._val, self._start = val, 0.0
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._start = time.perf_counter()

    @torch.inference_mode()
    def on_epoch_end(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self._start)
        model.eval()
        total = tokens = 0.0
        for batch in self._val:
            counted = float((batch["labels"] != IGNORED).sum())
            total += model(**batch).loss.item() * counted
            tokens += counted
        self.losses.append(total / tokens)
        model.train()
