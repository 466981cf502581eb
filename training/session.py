"""From a recipe to a checkpoint: the whole of `report-gen train` without its door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from report_gen import __version__
from report_gen.model import ModelConfig, ReportModel, save_checkpoint
from report_gen.prompting import load_prompt

from .building import build_model
from .card import write_card
from .loop import Progress, fit, validation_batches
from .preparing import Prepared, prepare
from .recipe import Recipe
from .reporting import OnProgress, unheard
from .runs import BEST, Run
from .thresholds import tune_thresholds


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    on_step: Callable[[Progress], None],
    on_progress: OnProgress = unheard,
) -> Path:
    """Train to a recipe in a run folder; gives the checkpoint folder.

    Raises:
        CorpusError, RecipeError, UsageError, OutputError: as their messages say.
    """
    accelerator = Accelerator(
        # A stage may leave a part without gradient: texts alone never reach the encoder.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    run = Run.start(folder, recipe, resume=resume) if accelerator.is_main_process else Run(folder)
    prompt = load_prompt(recipe.text.prompt)
    with accelerator.main_process_first():
        prepared = prepare(recipe, run, prompt, on_progress=on_progress)
    tokenizer, encoded = prepared.tokenizer, prepared.encoded
    model = build_model(recipe, tokenizer.vocabulary_size).to(accelerator.device)
    fit(model, recipe, prepared, run, accelerator, on_step=on_step)
    if accelerator.is_main_process:
        config = _configured(model, recipe, prepared)
        save_checkpoint(
            folder / BEST,
            model=model,
            config=config,
            tokenizer=tokenizer,
            prompt=prompt,
            training={
                "program_version": __version__,
                "recipe": recipe.model_dump(mode="json"),
                "studies": encoded.counts,
            },
            card=write_card(recipe, config, encoded.counts),
            weights_dtype=getattr(torch, recipe.stored_weights),
        )
    accelerator.wait_for_everyone()
    return folder / BEST


def _configured(model: ReportModel, recipe: Recipe, prepared: Prepared) -> ModelConfig:
    """The model's configuration with thresholds tuned on all validation studies that have images."""
    batches = validation_batches(model, recipe, prepared)
    return model.config.model_copy(update={"findings": tune_thresholds(model, batches)})
