"""From a recipe to a checkpoint: the whole of `report-gen train` without its door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from report_gen import __version__
from report_gen.model import Checkpoint, save_checkpoint
from report_gen.model.config import FindingConfig
from report_gen.prompting import load_prompt
from report_gen.report import format_report
from report_gen.tokenizer import ReportTokenizer

from .building import build_model
from .card import write_card
from .events import Progress, Validation
from .examples import Study, encode_study, read_studies
from .feeding import has_taught_findings
from .loop import fit, validation_batches
from .recipe import Recipe
from .runs import BEST, Run
from .signals import heeding_signals
from .stage import Fitting
from .thresholds import tune_thresholds
from .vocabulary import learn_vocabulary


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    on_step: Callable[[Progress], None],
    on_validation: Callable[[Validation], None] = lambda _: None,
) -> Path:
    """Train to a recipe in a run folder; gives the checkpoint folder.

    Raises:
        CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: as their messages say.
    """
    accelerator = Accelerator(
        # A stage may leave a part without gradient: texts alone never reach the encoder.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    with heeding_signals() as stop, _opened(folder, recipe, accelerator, resume=resume) as run:
        prompt = load_prompt(recipe.text.prompt)
        studies = read_studies(recipe)
        with accelerator.main_process_first():
            tokenizer = run.kept_tokenizer() or _learn(studies, recipe.text.vocabulary_size, run)
        examples = {
            name: {
                split: [
                    encode_study(study, tokenizer, prompt, recipe.text.longest)
                    for study in group
                    if study.split == split
                ]
                for split in ("train", "val")
            }
            for name, group in studies.items()
        }
        model = build_model(recipe, tokenizer.vocabulary_size).to(accelerator.device)
        fitting = Fitting(
            checkpoint=Checkpoint(model, tokenizer, prompt, weights_sha256=""),
            recipe=recipe,
            examples=examples,
            run=run,
            accelerator=accelerator,
            stop=stop,
            on_step=on_step,
            on_validation=on_validation,
        )
        fit(fitting)
        if accelerator.is_main_process:
            counts = {name: Counter(study.split for study in group) for name, group in studies.items()}
            _write_checkpoint(fitting, folder / BEST, counts)
        accelerator.wait_for_everyone()
    return folder / BEST


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


def _learn(studies: Mapping[str, Sequence[Study]], size: int, run: Run) -> ReportTokenizer:
    """A vocabulary of the training reports and their indications."""
    texts = [
        text
        for group in studies.values()
        for study in group
        if study.split == "train"
        for text in (format_report(study.sections), study.indication)
    ]
    tokenizer = learn_vocabulary(texts, size=size)
    run.keep_tokenizer(tokenizer)
    return tokenizer


def _write_checkpoint(fitting: Fitting, folder: Path, counts: Mapping[str, Mapping[str, int]]) -> None:
    """The best weights, with thresholds tuned on all validation studies that have images."""
    recipe, checkpoint = fitting.recipe, fitting.checkpoint
    findings = FindingConfig()
    if has_taught_findings(recipe, fitting.examples, len(recipe.stages)):
        findings = tune_thresholds(checkpoint.model, validation_batches(checkpoint.model, recipe, fitting.examples))
    config = checkpoint.model.config.model_copy(update={"findings": findings})
    save_checkpoint(
        folder,
        model=checkpoint.model,
        config=config,
        tokenizer=checkpoint.tokenizer,
        prompt=checkpoint.prompt,
        training={"program_version": __version__, "recipe": recipe.model_dump(mode="json"), "studies": counts},
        card=write_card(recipe, config, counts),
        weights_dtype=getattr(torch, recipe.stored_weights),
    )
