"""Models with adapters on a pretrained decoder, and checkpoints of them, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from report_gen_training.optimization.adapters import adapter_config, adapter_state
from report_gen_training.optimization.objectives import report_loss
from report_gen_training.optimization.optimizer import build_optimizer, set_train_mode
from report_gen_training.recipe import Recipe

from report_gen.generation import Decoding, generate_tokens
from report_gen.model import ReportModel, base_digest, local_source
from tests.builders import SIZE, tiny_recipe, tokenizer, write_checkpoint


def recipe(decoder: Path, *, conditioning: str = "prefix", vocabulary: str = "own", **lora: Any) -> Recipe:
    plain = tiny_recipe(decoder)
    model = plain.model.model_dump() | {
        "decoder_weights": str(decoder),
        "conditioning": conditioning,
        "decoder": {"tokenizer": vocabulary},
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.1} | lora,
    }
    text = plain.text.model_dump() | {"max_report_tokens": 40}
    return tiny_recipe(decoder, model=model, text=text)


def inputs(texts: int = 2, *, vocabulary_size: int | None = None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, vocabulary_size or tokenizer().vocabulary_size, (texts, 9), generator=generator)
    return {
        "pixel_values": torch.randn(texts, 1, 1, SIZE, SIZE, generator=generator),
        "view_positions": torch.zeros(texts, 1, dtype=torch.long),
        "view_mask": torch.ones(texts, 1, dtype=torch.bool),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "finding_states": torch.full((texts, 17), 3),
    }


def learn(model: ReportModel, setting: Recipe, steps: int = 4) -> None:
    stage = setting.stages[0].model_copy(update={"rates": setting.stages[0].rates.model_copy(update={"decoder": 3e-2})})
    optimizer = build_optimizer(model, stage)
    set_train_mode(model, stage.rates)
    given = inputs(vocabulary_size=model.config.vocabulary_size)
    for _ in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"]
        report_loss(model(**given).logits, given["input_ids"]).backward()
        optimizer.step()
        optimizer.zero_grad()


def draft(model: ReportModel, given: dict[str, torch.Tensor]) -> list[tuple[int, ...]]:
    visual = model.encode_images(given["pixel_values"], given["view_positions"], given["view_mask"])
    tokens, mask = model.visual_tokens(given["finding_states"], visual)
    prompts = given["input_ids"][:, :3].tolist()
    generated = generate_tokens(
        model, visual_tokens=tokens, visual_mask=mask, prompt_ids=prompts, decoding=Decoding(max_tokens=20)
    )
    return [text.token_ids for text in generated]


def write_adapter(folder: Path, model: ReportModel, base: Path, *, name: str | None = None, **changes: Any) -> Path:
    """Write the checkpoint of a model as an adapter. `name` is the recorded name of its base, by default its path."""
    sha256 = base_digest(local_source(str(base)))
    adapter = adapter_config(model, base=name or str(base), sha256=sha256)
    config = model.config.model_copy(update={"adapter": adapter})
    return write_checkpoint(folder, model=model, config=config, state=adapter_state(model), **changes)
