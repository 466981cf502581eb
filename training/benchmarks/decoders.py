"""Compare the decoders of finished runs: `python -m report_gen_training.benchmarks.decoders RUN...`.

The validation reports without images of each run are the reference, and the decoder is conditioned on the findings,
sides and zones that the labeler reads in them. The table shows the loss per word, which decoders with different
tokenizers share, how well drafts follow their conditioning, and what they cost. Each run is measured in a process of
its own. `--texts FILE` also writes the drafts below their conditioning, to be read. The runs should have the same
corpora.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import numpy as np
import pydantic
import torch
from accelerate import Accelerator
from rich.console import Console
from rich.table import Table

from report_gen.auditing import is_fragment
from report_gen.config import STATES
from report_gen.errors import UsageError
from report_gen.files import write_atomically
from report_gen.generation import DEFAULT_DECODING, Decoding, mismatched_findings, mismatched_locations
from report_gen.model import Checkpoint, load_checkpoint
from report_gen.prompting import load_prompt
from report_gen.records import FindingLocation, FindingSchema, FindingState, format_report, location_from_parts
from report_gen.terminal import run_app

from ..data import IGNORED, Batch, TrainingData, prepare
from ..engine import choose_studies, draft_studies, forward
from ..monitoring import peak_memory
from ..optimization import report_loss
from ..recipe import Recipe
from ..run import BEST, RECIPE, Processes, Run, ignore_progress


@dataclass(frozen=True, kw_only=True)
class DecoderFigures:
    """Figures of one decoder; means are over the drafted studies."""

    parameters: int
    """Parameters of the decoder, word embeddings included."""
    nats_per_word: float
    """Negative log-likelihood of the validation reports, end tokens included, divided by their words."""
    nats_per_token: float
    mismatched_findings: float
    """Findings on which a draft differs from its conditioning."""
    mismatched_locations: float
    """Findings that a draft states on a side that its conditioning does not contain."""
    fragments: float
    """Part of the sentences that are incomplete or ungrammatical, as far as `report_gen.auditing.is_fragment` tells."""
    distinct: float
    """Number of different drafts divided by the number of drafts."""
    seconds: float
    """Seconds per draft, one study at a time, without reading files or encoding images."""
    peak_bytes: int
    """Largest resident memory of the process."""
    texts: tuple[str, ...]
    """Each draft below its conditioning."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    if options.drafts < 1:
        raise UsageError(f"--drafts {options.drafts}: must be 1 or more")
    decoding = replace(DEFAULT_DECODING, method=options.method, candidates=options.candidates)
    figures = {}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for folder in options.runs:  # one after another, so that the times are comparable
            figures[folder] = pool.submit(measure, folder, decoding, drafts=options.drafts).result()
    Console().print(_table(figures))
    if options.texts:
        parts = [f"# {folder}\n\n" + "\n\n".join(one.texts) for folder, one in figures.items()]
        write_atomically(options.texts, "\n\n".join(parts) + "\n")


def measure(folder: Path, decoding: Decoding, *, drafts: int) -> DecoderFigures:
    """Measure the decoder of a run.

    Args:
        folder: Finished run of `report-gen train` with its cache.
        decoding: Options of the generation.
        drafts: Number of validation studies that are drafted.

    Raises:
        UsageError: There is no finished run, or it has no validation reports without images.
        CheckpointError: The checkpoint of the run cannot be loaded.
    """
    if not (folder / RECIPE).is_file():
        raise UsageError(f"{folder}: no run folder; give a folder that report-gen train wrote")
    try:
        recipe = Recipe.model_validate_json((folder / RECIPE).read_bytes())
    except pydantic.ValidationError as error:
        raise UsageError(f"{folder / RECIPE}: not a recipe of this release; give a run that it trained") from error
    checkpoint = load_checkpoint(folder / BEST, base=recipe.model.base)
    trains_decoder = [index for index, stage in enumerate(recipe.stages) if stage.rates.decoder]
    if not trains_decoder:
        raise UsageError(f"{folder}: no stage of the run trains the decoder; give another run")
    with Run.open(folder, recipe, resume=True) as run:
        prepared = prepare(recipe, run, load_prompt(recipe.text.prompt), on_progress=ignore_progress)
        data = TrainingData(recipe, trains_decoder[-1], prepared, Processes(Accelerator()))
        groups = [group for group in data.validation if group.lengths.any() and not group.views.any()]
        if not groups:
            raise UsageError(f"{folder}: the run has no validation reports without images; give another run")
        nats, tokens, words = _measure_loss(checkpoint, data.studies(groups))
        decoding = replace(decoding, max_tokens=recipe.text.max_report_tokens)
        alone = [one.select(np.array([row])) for one in choose_studies(groups, drafts) for row in range(len(one))]
        drafted = [_draft(checkpoint, batch, decoding) for batch in data.studies(alone)]
    return DecoderFigures(
        parameters=sum(parameter.numel() for parameter in checkpoint.model.decoder.parameters()),
        nats_per_word=nats / words,
        nats_per_token=nats / tokens,
        mismatched_findings=fmean([len(one.findings) for one in drafted]),
        mismatched_locations=fmean([len(one.locations) for one in drafted]),
        fragments=fmean([is_fragment(sentence) for one in drafted for sentence in one.sentences] or [False]),
        distinct=len({one.text for one in drafted}) / len(drafted),
        seconds=fmean([one.seconds for one in drafted]),
        peak_bytes=peak_memory(),
        texts=tuple(f"{one.conditioning}\n{one.text}" for one in drafted),
    )


@torch.inference_mode()
def _measure_loss(checkpoint: Checkpoint, batches: Iterator[Batch]) -> tuple[float, int, int]:
    """Return the negative log-likelihood of all reports in nats, their tokens with end tokens, and their words."""
    nats, tokens, words = 0.0, 0, 0
    for batch in batches:
        output = forward(checkpoint.model, batch)
        if output.logits is None:
            continue  # no study of the batch has a report
        counted = int((batch.labels[:, 1:] != IGNORED).sum())
        nats += counted * float(report_loss(output.logits, batch.labels))
        tokens += counted
        texts = [checkpoint.tokenizer.decode([one for one in row if one != IGNORED]) for row in batch.labels.tolist()]
        words += sum(len(text.split()) for text in texts)
    return nats, tokens, words


@dataclass(frozen=True, kw_only=True)
class _Draft:
    conditioning: str
    text: str
    sentences: tuple[str, ...]
    findings: tuple[str, ...]
    """Findings on which the text differs from the conditioning."""
    locations: tuple[str, ...]
    """Findings on another side than in the conditioning."""
    seconds: float


def _draft(checkpoint: Checkpoint, batch: Batch, decoding: Decoding) -> _Draft:
    """Draft a batch of one study."""
    began = time.perf_counter()
    (sections,) = draft_studies(checkpoint, batch, decoding)
    seconds = time.perf_counter() - began
    schema, text = checkpoint.model.config.finding_schema, format_report(sections)
    states = [STATES[state] for state in batch.finding_states[0].tolist()]
    locations = [location_from_parts(parts) for parts in batch.finding_locations[0].bool().tolist()]
    known = () if checkpoint.model.config.locations is None else locations
    return _Draft(
        conditioning=_describe(schema, states, locations),
        text=text,
        sentences=tuple(sentence.text for section in sections for sentence in section.sentences),
        findings=mismatched_findings(text, states, schema),
        locations=mismatched_locations(text, known, schema),
        seconds=seconds,
    )


def _describe(schema: FindingSchema, states: Sequence[FindingState], locations: Sequence[FindingLocation]) -> str:
    """Return the stated findings of a conditioning with their places, in one line."""
    stated = [
        " ".join((name, f"({state.value})", location.side.value, *sorted(zone.value for zone in location.zones)))
        for name, state, location in zip(schema.findings, states, locations, strict=True)
        if state.is_stated and name != schema.normal
    ]
    return f"[{'; '.join(stated) or 'no finding'}]"


def _table(figures: dict[Path, DecoderFigures]) -> Table:
    table = Table(title=f"Decoders of finished runs, {torch.get_num_threads()} threads")
    table.add_column("")
    for folder in figures:
        table.add_column(folder.name, justify="right")
    rows: dict[str, Callable[[DecoderFigures], str]] = {
        "million parameters": lambda one: f"{one.parameters / 1e6:.1f}",
        "nats per word": lambda one: f"{one.nats_per_word:.3f}",
        "nats per token": lambda one: f"{one.nats_per_token:.3f}",
        "mismatched findings per draft": lambda one: f"{one.mismatched_findings:.2f}",
        "findings on a wrong side per draft": lambda one: f"{one.mismatched_locations:.2f}",
        "badly formed sentences": lambda one: f"{one.fragments:.1%}",
        "distinct drafts": lambda one: f"{one.distinct:.0%}",
        "seconds per draft": lambda one: f"{one.seconds:.2f}",
        "peak memory, MB": lambda one: f"{one.peak_bytes / 1e6:.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, *map(value, figures.values()))
    return table


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders of report-gen train")
    parser.add_argument("--drafts", type=int, default=50, help="validation studies that are drafted")
    parser.add_argument("--method", choices=("greedy", "beam", "sample"), default=DEFAULT_DECODING.method)
    parser.add_argument("--candidates", type=int, default=DEFAULT_DECODING.candidates, help="texts to choose from")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="write the drafts and their conditioning")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
