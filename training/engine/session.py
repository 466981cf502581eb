"""From a recipe to a checkpoint: the whole of `report-gen train` without its door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from report_gen import __version__
from report_gen.config import FindingConfig
from report_gen.model import Checkpoint, ReportModel, save_checkpoint
from report_gen.prompting import load_prompt

from ..calibration.temperature import Tuned, tune_findings
from ..data.data_loading import trained_findings, trained_prevalence
from ..data.preparation import Prepared, prepare
from ..optimization.adapters import merged_state
from ..recipe.schema import Recipe
from ..run.events import Progress, Validation
from ..run.folder import BEST, Run
from ..run.reporting import OnProgress, unheard
from ..run.signals import heeding_signals
from .loop import fit, validation_batches, validation_groups
from .model_building import build_model, describe_decoder
from .model_card import write_card
from .stage_context import Fitting


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    on_step: Callable[[Progress], None],
    on_validation: Callable[[Validation], None] = lambda _: None,
    on_progress: OnProgress = unheard,
) -> Path:
    """Train to a recipe in a run folder; gives the checkpoint folder.

    Raises:
        CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: as their messages say.
    """
    accelerator = Accelerator(
        # A stage may leave a part without gradient: texts alone never reach the encoder.
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=True),
            # The others wait while the first process decodes the images of a whole corpus.
            InitProcessGroupKwargs(timeout=timedelta(days=1)),
        ],
    )
    with _opened(folder, recipe, accelerator, resume=resume) as run:
        prompt = load_prompt(recipe.text.prompt)
        build_model(recipe, recipe.text.vocabulary_size)  # what cannot be built shows before the images are decoded
        with accelerator.main_process_first():
            prepared = prepare(recipe, run, prompt, on_progress=on_progress)
        with heeding_signals() as stop:
            fitting = Fitting(
                checkpoint=Checkpoint(
                    build(recipe, prepared).to(accelerator.device), prepared.tokenizer, prompt, weights_sha256=""
                ),
                recipe=recipe,
                prepared=prepared,
                run=run,
                accelerator=accelerator,
                stop=stop,
                on_step=on_step,
                on_validation=on_validation,
                on_progress=on_progress,
            )
            fit(fitting)
        if accelerator.is_main_process:
            _write_checkpoint(fitting, folder / BEST)
        accelerator.wait_for_everyone()
    return folder / BEST


def build(recipe: Recipe, prepared: Prepared) -> ReportModel:
    """The model, with room for the longest prompt and the most images of the corpora."""
    stores = [store for splits in prepared.encoded.examples.values() for store in splits.values()]
    return build_model(
        recipe,
        prepared.tokenizer.vocabulary_size,
        prompt_tokens=max(store.longest_prompt for store in stores),
        views=max(int(store.views.max(initial=0)) for store in stores),
        attributes=prepared.attributes,
        encode=prepared.tokenizer.encode,
    )


@contextmanager
def _opened(folder: Path, recipe: Recipe, accelerator: Accelerator, *, resume: bool) -> Iterator[Run]:
    """The run folder, which the main process makes and locks and the others only read."""
    if accelerator.is_main_process:
        with Run.open(folder, recipe, resume=resume) as run:
            accelerator.wait_for_everyone()
            yield run
    else:
        accelerator.wait_for_everyone()
        yield Run(folder)


def _write_checkpoint(fitting: Fitting, folder: Path) -> None:
    """The best weights, with a temperature and thresholds fitted to all validation studies that have images."""
    recipe, checkpoint, prepared = fitting.recipe, fitting.checkpoint, fitting.prepared
    model, counts = checkpoint.model, prepared.encoded.counts
    tuned = _tune(model, recipe, prepared)
    config = model.config.model_copy(update={"findings": tuned.findings})
    calibration = None if tuned.calibration is None else asdict(tuned.calibration)
    save_checkpoint(
        folder,
        model=model,
        config=config,
        tokenizer=checkpoint.tokenizer,
        prompt=checkpoint.prompt,
        training={
            "program_version": __version__,
            "recipe": recipe.model_dump(mode="json"),
            "studies": counts,
            "calibration": calibration,
        },
        card=write_card(
            recipe,
            config,
            counts=counts,
            left_out=prepared.encoded.left_out,
            decoder=describe_decoder(model),
            calibration=tuned.calibration,
        ),
        weights_dtype=getattr(torch, recipe.stored_weights),
        state=merged_state(model),
    )


def _tune(model: ReportModel, recipe: Recipe, prepared: Prepared) -> Tuned:
    """Without validation images every finding stays unknown; what the head learned is reported all the same."""
    trained, groups = trained_findings(recipe, prepared), validation_groups(prepared)
    if not groups:
        return Tuned(FindingConfig.unknown(len(trained), trained=trained), None)
    return tune_findings(
        model,
        validation_batches(model, recipe, prepared, groups),
        labels=np.concatenate([group.labels for group in groups]).astype(np.float64),
        trained=trained,
        prevalence=trained_prevalence(recipe, prepared),
    )
