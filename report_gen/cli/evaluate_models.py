"""`report-gen evaluate` with several models: draft the same studies with each, and compare the drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import typer

from report_gen.arguments import DtypeName
from report_gen.cli.evaluation_input import CorpusChoice
from report_gen.cli.model_options import EMBEDDED
from report_gen.errors import CorpusError, OutputError, StudyError, UsageError
from report_gen.terminal import error_list, print_error, print_notice, print_table, track

if TYPE_CHECKING:
    from report_gen.drafting import Drafter
    from report_gen.evaluation import (
        Comparer,
        Comparison,
        EvaluationCorpus,
        FailedModel,
        ModelRun,
        ModelRuns,
        Track,
    )
    from report_gen.generation import DecodingChoice
    from report_gen.metrics import ScoreMethod
    from report_gen.records import FindingSchema

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ComparisonFiles:
    """Files that are written after each model."""

    json: Path | None
    html: Path | None
    csv: Path | None

    def write(self, comparison: Comparison) -> None:
        """Write the files. Raises OutputError if one cannot be written."""
        from report_gen.evaluation import write_comparison, write_comparison_csv, write_comparison_page

        writers = ((self.json, write_comparison), (self.html, write_comparison_page), (self.csv, write_comparison_csv))
        for path, write in writers:
            if path:
                write(comparison, path)


def find_models(
    names: Sequence[str], *, base: str | None, device: str, dtype: DtypeName, allow_remote: bool
) -> dict[str, Callable[[], Drafter]]:
    """Find several models before the first one is loaded, so that a wrong name is reported at once.

    Args:
        names: Names of models, see `find_source`, or `embedded`.
        base: Base of the checkpoints that are adapters; None for the installed packages that they name.
        device: As in `load_drafter`.
        dtype: As in `load_drafter`.
        allow_remote: As in `load_drafter`.

    Returns:
        Functions that load the models, by their names.

    Raises:
        UsageError: A model is named twice, a description has a fault, or there is a `base` and no adapter.
        CheckpointError: There is no such model.
    """
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{repeated}: the model is named twice; name every model once, and the corpus last")
    from report_gen.drafting import Drafter, find_source

    sources = {name: find_source(None if name == EMBEDDED else name) for name in names}
    bases = {name: base if base and source.takes_base() else None for name, source in sources.items()}
    if base and not any(bases.values()):
        raise UsageError("--base is for adapters, and none of the models is one; leave it out")

    def load(name: str) -> Drafter:
        source = sources[name]
        return Drafter(source.load(base=bases[name], device=device, dtype=dtype, allow_remote=allow_remote, tuned=True))

    return {name: partial(load, name) for name in sources}


def evaluate_models(
    models: Mapping[str, Callable[[], Drafter]],
    corpus: CorpusChoice,
    *,
    schema: FindingSchema | None,
    decoding: DecodingChoice,
    method: ScoreMethod,
    files: ComparisonFiles,
) -> None:
    """Draft the studies with one model after the other, write the files after each, and print the comparison.

    Args:
        models: Functions that load the models, by the names that the user gave.
        corpus: The studies.
        schema: The findings of the scores; None takes those of the first model that can be loaded.
        decoding: The decoding that the user chose.
        method: How drafts are scored.
        files: The files.

    Raises:
        UsageError: The preset is unknown, or an option needs reports and there are none.
        CorpusError: The corpus cannot be read, or no two studies were drafted by all models.
        typer.Exit: A model failed, or studies were refused.
    """
    from report_gen.evaluation import Comparer, FailedModel
    from report_gen.metrics import load_preset

    load_preset(method.preset)  # an unknown preset must fail before the drafting, which takes long
    finished: list[ModelRun] = []
    failed: list[FailedModel] = []
    comparer: Comparer | None = None
    with TemporaryDirectory(prefix="report-gen-") as store:
        runs = _model_runs(list(models), partial(corpus.read, store=Path(store)), schema, decoding, method.seed)
        for number, result in enumerate(runs.run(models), start=1):
            if isinstance(result, FailedModel):
                failed.append(result)
                print_error(f"{result.given}: {result.reason}")
                continue
            finished.append(result)
            comparer = comparer or Comparer(replace(method, schema=result.corpus.schema), result.corpus)
            if number < len(models):  # results must not be lost if the program ends early
                _write_early(files, comparer, finished, failed)
        if comparer is not None:
            _finish(files, comparer.compare(finished, failed))
    if failed:
        raise typer.Exit(failed[0].exit_code)
    if any(run.drafts.refused or run.drafts.without_draft for run in finished):
        raise typer.Exit(StudyError.exit_code)


def _model_runs(
    names: Sequence[str],
    read: Callable[[FindingSchema], EvaluationCorpus],
    schema: FindingSchema | None,
    decoding: DecodingChoice,
    seed: int,
) -> ModelRuns:
    """Return the runner of the models; the progress bars show their short names."""
    from report_gen.evaluation import ModelRuns, RunOptions, short_names

    short = dict(zip(names, short_names(names), strict=True))
    return ModelRuns(
        RunOptions(
            read_corpus=read, schema=schema, decoding=decoding, seed=seed, track=lambda given: _track(short[given])
        )
    )


def _finish(files: ComparisonFiles, comparison: Comparison) -> None:
    """Write the files and print the comparison."""
    from report_gen.evaluation import render_comparison

    files.write(comparison)
    print_table(render_comparison(comparison))
    with error_list() as errors:
        for model in comparison.models:
            drafts = model.run.drafts
            for error in (*drafts.refused.values(), *drafts.without_draft.values()):
                errors.print(f"{model.name}: {error}", error.path)


def _write_early(
    files: ComparisonFiles, comparer: Comparer, finished: Sequence[ModelRun], failed: Sequence[FailedModel]
) -> None:
    """Write the files with the models that have finished. An error must not end the run: it is raised at the end."""
    try:
        files.write(comparer.compare(finished, failed))
    except (CorpusError, OutputError) as error:
        print_notice(str(error))


def _track(model: str) -> Track:
    def show(items: Iterable[T], total: int, images: str) -> Iterable[T]:
        return track(items, total=total, description=f"{model}: {images}")

    return show
