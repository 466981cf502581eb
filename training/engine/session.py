"""A whole training run, from a recipe to a checkpoint.

A session adds to the loop: it starts accelerate, opens the run folder, prepares the corpora, builds the model, and at
the end calibrates the finding head and writes the checkpoint.
"""

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
from report_gen.config import AdapterConfig, AttributeConfig, FindingConfig, LocationConfig, ScopeConfig
from report_gen.generation import benefits_from_proposals
from report_gen.model import Checkpoint, Continuations, ReportModel, base_digest, local_source, save_checkpoint
from report_gen.prompting import load_prompt
from report_gen.tokenizer import BOS_ID, EOS_ID

from ..calibration import (
    RecognizerResult,
    TunedFindings,
    fit_recognizer,
    tune_attributes,
    tune_findings,
    tune_locations,
)
from ..data import (
    ExampleStore,
    PreparedCorpora,
    count_continuations,
    count_trained_views,
    image_transform,
    prepare,
    recognizer_images,
    token_rows,
    trained_findings,
    trained_locations,
)
from ..optimization import adapter_config, adapter_state, merged_state
from ..recipe import Recipe, read_image_side
from ..run import BEST, OnProgress, Progress, Run, Validation, catch_stop_signals, ignore_progress
from .loop import fit, validation_batches, validation_groups
from .model_building import build_model, describe_decoder
from .model_card import write_card
from .run_context import RunContext


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    on_step: Callable[[Progress], None],
    on_validation: Callable[[Validation], None] = lambda _: None,
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Train the model of a recipe in a run folder.

    Args:
        resume: Continue the run in the folder; otherwise the folder must not hold one.
        on_step: Called after every step, in the main process.
        on_validation: Called after every validation, in the main process.
        on_progress: Called while the corpora are read and features are computed.

    Returns:
        The checkpoint folder.

    Raises:
        CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: With a message for the user.
    """
    accelerator = _start_accelerate()
    with _open_run(folder, recipe, accelerator, resume=resume) as run:
        prompt = load_prompt(recipe.text.prompt)
        # Fail before the images are decoded, not after.
        build_model(recipe, recipe.text.vocabulary_size, attributes=_attributes_of_weights(recipe))
        with accelerator.main_process_first():
            prepared = prepare(recipe, run, prompt, on_progress=on_progress)
        model = build_for_corpora(recipe, prepared).to(accelerator.device)
        adapter = _describe_adapter(recipe, model)
        with catch_stop_signals() as stop:
            context = RunContext(
                checkpoint=Checkpoint(model, prepared.tokenizer, prompt, weights_sha256=""),
                recipe=recipe,
                prepared=prepared,
                run=run,
                accelerator=accelerator,
                stop=stop,
                on_step=on_step,
                on_validation=on_validation,
                on_progress=on_progress,
            )
            fit(context)
        if accelerator.is_main_process:
            _write_checkpoint(context, folder / BEST, adapter)
        accelerator.wait_for_everyone()
    return folder / BEST


def _attributes_of_weights(recipe: Recipe) -> tuple[AttributeConfig, ...]:
    """Return the attributes of the recipe as `model.image_weights` has them: their values come from the corpora."""
    image_side = read_image_side(recipe)
    known = () if image_side is None else image_side.attributes
    return tuple(attribute for attribute in known if attribute.name in recipe.model.attributes)


def build_for_corpora(recipe: Recipe, prepared: PreparedCorpora) -> ReportModel:
    """Build the model with decoder positions for the longest prompt and the most images of a study."""
    stores = [store for splits in prepared.encoded.examples.values() for store in splits.values()]
    model = build_model(
        recipe,
        prepared.tokenizer.vocabulary_size,
        prompt_tokens=max(store.max_prompt_tokens for store in stores),
        views=max(int(store.views.max(initial=0)) for store in stores),
        attributes=prepared.attributes,
        encode=prepared.tokenizer.encode,
        rows=token_rows(recipe.model, prepared.tokenizer),
    )
    if recipe.model.locations:  # validation drafts need to know which findings have a location
        locations = LocationConfig(trained=trained_locations(recipe, prepared))
        model.config = model.config.model_copy(update={"locations": locations})
    return model


def _start_accelerate() -> Accelerator:
    return Accelerator(
        kwargs_handlers=[
            # A batch may give a part of the model no gradient: reports without images never reach the encoder.
            DistributedDataParallelKwargs(find_unused_parameters=True),
            # The other processes wait while the first one decodes the images of a whole corpus.
            InitProcessGroupKwargs(timeout=timedelta(days=1)),
        ],
    )


@contextmanager
def _open_run(folder: Path, recipe: Recipe, accelerator: Accelerator, *, resume: bool) -> Iterator[Run]:
    """Open the run folder: the main process creates and locks it, the others only read."""
    if accelerator.is_main_process:
        with Run.open(folder, recipe, resume=resume) as run:
            accelerator.wait_for_everyone()
            yield run
    else:
        accelerator.wait_for_everyone()
        yield Run(folder)


def _describe_adapter(recipe: Recipe, model: ReportModel) -> AdapterConfig | None:
    """Describe the base of a checkpoint that will be an adapter, before the training: files may be replaced meanwhile.

    Raises:
        CheckpointError, RecipeError: The weights of the base cannot be read, or its name cannot be stored.
    """
    base = recipe.model.base
    return None if base is None else adapter_config(model, base=base, sha256=base_digest(local_source(base)))


def _write_checkpoint(context: RunContext, folder: Path, adapter: AdapterConfig | None) -> None:
    """Write the best weights, with calibration and thresholds fitted to validation studies that have images."""
    recipe, checkpoint, prepared = context.recipe, context.checkpoint, context.prepared
    model, counts = checkpoint.model, prepared.encoded.counts
    tuned, locations = _tune(model, recipe, prepared), _tune_locations(model, recipe, prepared)
    scope, recognized = _recognize(context)
    views = count_trained_views(recipe, prepared)
    config = model.config.model_copy(
        update={
            "findings": tuned.findings,
            "attributes": _tune_attributes(model, recipe, prepared),
            "locations": locations,
            "scope": scope,
            "trained_views": views,
            "adapter": adapter,
        }
    )
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
            "recognizer": None if recognized is None else asdict(recognized),
        },
        card=write_card(
            recipe,
            config,
            counts=counts,
            left_out=prepared.encoded.left_out,
            decoder=describe_decoder(model),
            calibration=tuned.calibration,
            recognized=recognized,
        ),
        continuations=_count_continuations(context) if benefits_from_proposals(model.decoder.language_model) else None,
        weights_dtype=getattr(torch, recipe.stored_weights),
        state=merged_state(model) if adapter is None else adapter_state(model),
    )


def _count_continuations(context: RunContext) -> Continuations:
    """Count the n-grams of the training reports, with begin and end token as the decoder generates them."""
    stores = [splits["train"] for splits in context.prepared.encoded.examples.values() if "train" in splits]
    reports = (
        (one.patient_id, [BOS_ID, *one.report_ids, EOS_ID]) for store in stores for one in store if one.report_ids
    )
    return count_continuations(reports, min_patients=context.recipe.text.min_word_patients)


def _recognize(context: RunContext) -> tuple[ScopeConfig, RecognizerResult | None]:
    """Fit the image recognizer of the recipe, if it has one, and make it a part of the model."""
    recipe, model = context.recipe, context.checkpoint.model
    if recipe.recognizer is None:
        return model.config.scope, None
    images = recognizer_images(
        recipe.recognizer, recipe, context.run, context.prepared, on_progress=context.on_progress
    )
    recognizer, result = fit_recognizer(
        model.encoder, image_transform(recipe), images, recipe.recognizer, on_progress=context.on_progress
    )
    model.recognizer = recognizer
    return model.config.scope.model_copy(update={"recognizer": recognizer.config}), result


def _tune(model: ReportModel, recipe: Recipe, prepared: PreparedCorpora) -> TunedFindings:
    """Fit calibration and thresholds. Without validation images findings stay unknown, but have probabilities."""
    trained, groups = trained_findings(recipe, prepared, len(recipe.stages)), _calibrating_groups(prepared)
    if not groups:
        return TunedFindings(FindingConfig.unknown(len(trained), trained=trained), None)
    return tune_findings(
        model,
        validation_batches(model, recipe, prepared, groups),
        labels=np.concatenate([group.labels for group in groups]).astype(np.float64),
        trained=trained,
        costs=recipe.decisions,
    )


def _calibrating_groups(prepared: PreparedCorpora) -> list[ExampleStore]:
    """Return the validation studies with images whose sources calibrate, by kind."""
    groups = [group.select(np.flatnonzero(group.calibrates)) for group in validation_groups(prepared)]
    return [group for group in groups if len(group)]


def _tune_attributes(model: ReportModel, recipe: Recipe, prepared: PreparedCorpora) -> tuple[AttributeConfig, ...]:
    """Fit the thresholds of the attribute heads to the validation studies with images."""
    groups = validation_groups(prepared)
    return tune_attributes(
        model,
        validation_batches(model, recipe, prepared, groups),
        patients=[patient for group in groups for patient in group.patients],
        accuracies=recipe.decisions.attribute_accuracy,
        thresholds=recipe.decisions.attribute_thresholds,
    )


def _tune_locations(model: ReportModel, recipe: Recipe, prepared: PreparedCorpora) -> LocationConfig | None:
    """Calibrate the location head with the validation studies whose findings have a known location."""
    if model.config.locations is None:
        return None
    known = [
        group.select(np.flatnonzero((~np.isnan(group.location_targets)).any(axis=(1, 2))))
        for group in validation_groups(prepared)
    ]
    batches = validation_batches(model, recipe, prepared, [group for group in known if len(group)])
    return tune_locations(model, batches, trained=trained_locations(recipe, prepared))
