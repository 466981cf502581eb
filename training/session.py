"""From a recipe to a checkpoint: the whole of `report-gen train` without its door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from report_gen import __version__
from report_gen.model import ModelConfig, ReportModel, save_checkpoint
from report_gen.prompting import load_prompt
from report_gen.report import format_report
from report_gen.tokenizer import ReportTokenizer

from .adapting import merged_state
from .building import build_model
from .card import write_card
from .examples import Study, encode_study, read_studies
from .loop import Examples, Progress, fit, validation_batches
from .recipe import Recipe
from .runs import BEST, Run
from .thresholds import tune_thresholds
from .vocabulary import learn_vocabulary


def train(recipe: Recipe, folder: Path, *, resume: bool, on_step: Callable[[Progress], None]) -> Path:
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
    studies = read_studies(recipe)
    with accelerator.main_process_first():
        tokenizer = run.kept_tokenizer() or _learn(studies, recipe.text.vocabulary_size, run)
    examples = {
        name: {
            split: [
                encode_study(study, tokenizer, prompt, recipe.text.longest) for study in group if study.split == split
            ]
            for split in ("train", "val")
        }
        for name, group in studies.items()
    }
    encoded = [example for splits in examples.values() for split in splits.values() for example in split]
    model = build_model(
        recipe,
        tokenizer.vocabulary_size,
        prompt_tokens=max((len(prompt) for example in encoded for prompt in example.prompts), default=0),
        views=max((len(example.images) for example in encoded), default=0),
    ).to(accelerator.device)
    fit(model, recipe, examples, run, accelerator, on_step=on_step)
    if accelerator.is_main_process:
        config = _configured(model, recipe, examples)
        counts = {name: Counter(study.split for study in group) for name, group in studies.items()}
        save_checkpoint(
            folder / BEST,
            model=model,
            config=config,
            tokenizer=tokenizer,
            prompt=prompt,
            training={"program_version": __version__, "recipe": recipe.model_dump(mode="json"), "studies": counts},
            card=write_card(recipe, config, counts),
            weights_dtype=getattr(torch, recipe.stored_weights),
            state=merged_state(model),
        )
    accelerator.wait_for_everyone()
    return folder / BEST


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


def _configured(model: ReportModel, recipe: Recipe, examples: Examples) -> ModelConfig:
    """The model's configuration with thresholds tuned on all validation studies that have images."""
    batches = validation_batches(model, recipe, examples)
    return model.config.model_copy(update={"findings": tune_thresholds(model, batches)})
