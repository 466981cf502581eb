"""Draft the studies of one call of `report-gen draft`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from report_gen.arguments import DtypeName
from report_gen.batch import (
    BatchSettings,
    DraftedStudy,
    StudyTask,
    digest_sources,
    draft_here,
    draft_in_processes,
    draft_on_ray,
)
from report_gen.cli.document_options import document_settings
from report_gen.cli.draft_output import DraftOutput, open_output
from report_gen.cli.draft_writing import DraftWriter
from report_gen.cli.options import study_limits
from report_gen.cli.prior_input import prior_settings
from report_gen.errors import ReportGenError
from report_gen.model import find_tuning
from report_gen.outputs import DocumentOptions, OutputFormat
from report_gen.terminal import StopCheck, print_notice

if TYPE_CHECKING:
    from report_gen.drafting import DraftRequest, ModelSource, PriorStudy
    from report_gen.generation import DecodingChoice
    from report_gen.imaging.scope_choice import ModelScope
    from report_gen.records import FindingLocation, FindingState, Study


@dataclass(frozen=True, kw_only=True)
class DraftRequirements:
    """What the user asked for in all drafts of a call."""

    overrides: Mapping[str, FindingState]
    locations: Mapping[str, FindingLocation]
    attributes: Mapping[str, str]
    indication: str | None
    technique: str | None
    comparison: str | None
    force: bool
    decoding: DecodingChoice

    def request(self, study: Study, priors: Sequence[PriorStudy]) -> DraftRequest:
        """Return the request for the draft of a study."""
        from report_gen.drafting import DraftRequest

        return DraftRequest(
            study,
            priors=tuple(priors),
            overrides=self.overrides,
            locations=self.locations,
            attributes=self.attributes,
            indication=self.indication,
            technique=self.technique,
            comparison=self.comparison,
        )

    def settings(self) -> dict[str, Any]:
        """Return what determines the drafts, as values that JSON can write."""
        values = {name: getattr(self, name) for name in type(self).__dataclass_fields__}
        places = {name: [location.side, *sorted(location.zones)] for name, location in self.locations.items()}
        return values | {"locations": places, "decoding": asdict(self.decoding)}


@dataclass(frozen=True, kw_only=True)
class DraftBatch:
    """The options of a call: the model, the drafts, and what is written of them."""

    sources: Mapping[str, ModelSource]
    """The models that may draft, by name."""
    base: str | None
    allow_remote: bool
    """Whether images may be sent to a model on another computer."""
    device: str
    dtype: DtypeName
    drafts: DraftRequirements
    batch_size: int
    max_views: int | None
    timeout: int
    formats: Sequence[OutputFormat]
    documents: DocumentOptions
    output: Path | None
    """Folder of the drafts; None for standard output."""
    resume: bool
    overwrite: bool
    revises: Path | None
    attention: Path | None
    preprocessing: Path | None
    workers: int
    """Number of worker processes; 0 drafts in this process."""
    engine: Literal["local", "ray"]
    """What gives the studies to processes."""
    image_memory: int
    """Memory that a worker process may take to read one image, bytes."""

    @property
    def drawings(self) -> Mapping[str, Path | None]:
        """The files of the drawings, by option."""
        return {"--attention": self.attention, "--show-preprocessing": self.preprocessing}

    @property
    def uses_tuning(self) -> bool:
        """Whether the models get the settings of `report-gen bench --tune`. Nodes of a cluster may differ in them."""
        return self.engine == "local"

    def worker_settings(self, scopes: Mapping[str, ModelScope], digests: str) -> BatchSettings:
        """Return what the process that drafts needs to know."""
        return BatchSettings(
            sources=self.sources,
            allow_remote=self.allow_remote,
            scopes=scopes,
            digests=digests,
            base=self.base,
            device=self.device,
            dtype=self.dtype,
            tuned=self.uses_tuning,
            decoding=self.drafts.decoding,
            batch_size=self.batch_size,
            limits=study_limits(self.max_views, self.timeout),
            force=self.drafts.force,
            documents=self.documents,
            revises=self.revises,
            attention=self.attention is not None,
            preprocessing=self.preprocessing is not None,
            image_memory=self.image_memory,
        )


@dataclass(kw_only=True)
class BatchResult:
    """What became of the studies of a call."""

    complete: int = 0
    """Studies of which every file was written."""
    files: int = 0
    """Files that were written to the folder of the drafts, also those of incomplete studies."""
    refused: list[Sequence[ReportGenError]] = field(default_factory=list)
    """The errors of each other study."""

    def errors(self) -> Iterator[ReportGenError]:
        """Yield the errors of all studies."""
        for of_study in self.refused:
            yield from of_study

    def summary(self, output: Path) -> str:
        """Return one sentence on what was written to the folder of the drafts."""
        refused = f"studies refused: {len(self.refused)}"
        if not self.files:
            return f"nothing was written to {output}; {refused}"
        incomplete = "" if self.complete else f"; files of incomplete drafts: {self.files}"
        return f"drafts written to {output}: {self.complete}{incomplete}; {refused}"


def draft_batch(
    batch: DraftBatch,
    models: Mapping[Study, Sequence[str]],
    scopes: Mapping[str, ModelScope],
    priors: Mapping[Study, Sequence[PriorStudy]],
    check_stop: StopCheck,
) -> BatchResult:
    """Draft studies, and write each draft as soon as it is there.

    Args:
        batch: The options.
        models: Names of the models that may draft each study, for one study or more.
        scopes: Scope of each model, by its name.
        priors: Prior studies by study; studies without one may be missing.
        check_stop: Raises an exception if a signal has stopped the command.

    Raises:
        ReportGenError: The model cannot be loaded, or the output cannot be opened.
    """
    digests = digest_sources(batch.sources)
    settings = batch.drafts.settings() | {"dtype": batch.dtype, "manifest": digests} | _tuned_dtypes(batch)
    for_workers = batch.worker_settings(scopes, digests)
    if batch.engine == "ray" and batch.output is not None:
        return _draft_on_ray(batch, batch.output, for_workers, settings, models, priors)
    studies = list(models)
    with open_output(
        studies,
        batch.output,
        batch.formats,
        settings=settings,
        documents=batch.documents,
        own_settings=[prior_settings(priors.get(study, ())) for study in studies] if priors else (),
        resume=batch.resume,
        overwrite=batch.overwrite,
        revises=batch.revises,
    ) as target:
        result = BatchResult(refused=list(target.refused))
        if target.studies:  # the model takes seconds to load
            for output_format in batch.formats:
                output_format.load_libraries()
            formats = [target.formats(number) for number in range(len(target.studies))]
            tasks = _tasks(batch, target.studies, models, priors, formats)
            writer = _draft(batch, for_workers, target, tasks, check_stop)
            result.refused += writer.refused
            result.complete = writer.complete
            result.files = target.files_written
        return result


def _tuned_dtypes(batch: DraftBatch) -> dict[str, Any]:
    """Return the data types that `report-gen bench --tune` chose for the CPU; nothing if all of them are float32."""
    # Which device `auto` is, only PyTorch can tell, which takes seconds to import. With `auto` and a GPU, a tuning that
    # was made since makes all drafts again although it has no effect.
    if batch.dtype != "auto" or batch.device not in ("auto", "cpu") or not batch.uses_tuning:
        return {}
    tunings = (find_tuning(source.digest()) for source in batch.sources.values())
    dtypes = ["float32" if tuning is None else tuning.dtype for tuning in tunings]
    return {} if set(dtypes) == {"float32"} else {"tuned": dtypes}


def _tasks(
    batch: DraftBatch,
    studies: Iterable[Study],
    models: Mapping[Study, Sequence[str]],
    priors: Mapping[Study, Sequence[PriorStudy]],
    formats: Iterable[Sequence[str]],
) -> list[StudyTask]:
    """Return what is to do for each study, with the formats in which each is written."""
    return [
        StudyTask(
            number=number,
            request=batch.drafts.request(study, priors.get(study, ())),
            models=tuple(models[study]),
            formats=tuple(names),
        )
        for number, (study, names) in enumerate(zip(studies, formats, strict=False))
    ]


def _draft(
    batch: DraftBatch,
    settings: BatchSettings,
    target: DraftOutput,
    tasks: Sequence[StudyTask],
    check_stop: StopCheck,
) -> DraftWriter:
    """Draft the studies of an output, each with one of its models, and write the drafts."""
    writer = DraftWriter(
        target,
        attention=batch.attention,
        preprocessing=batch.preprocessing,
        name_models=len(batch.sources) > 1,
    )
    if not batch.workers:
        writer.write(_checked(draft_here(settings, tasks), check_stop))
        return writer
    with check_stop.finish_work():
        writer.write(
            draft_in_processes(
                settings,
                tasks,
                workers=min(batch.workers, len(tasks)),
                in_order=batch.output is None,
                should_stop=lambda: check_stop.received,
            )
        )
    if writer.complete + len(writer.refused) < len(tasks):
        check_stop()
    return writer


def _draft_on_ray(
    batch: DraftBatch,
    output: Path,
    for_workers: BatchSettings,
    settings: Mapping[str, Any],
    models: Mapping[Study, Sequence[str]],
    priors: Mapping[Study, Sequence[PriorStudy]],
) -> BatchResult:
    """Draft studies on the nodes of a Ray cluster."""
    from report_gen import __version__

    names = [output_format.name for output_format in batch.formats]
    for output_format in batch.formats:
        settings = {**settings, **document_settings(batch.documents, output_format)}
    request = json.dumps({**settings, "program_version": __version__, "formats": names}, sort_keys=True)
    tasks = _tasks(batch, models, models, priors, repeat(names))

    def print_resumed(before: int) -> None:
        if batch.resume:
            print_notice(f"{before} of {len(tasks)} studies were drafted before")

    result = draft_on_ray(
        for_workers,
        tasks,
        output,
        request=hashlib.sha256(request.encode()).hexdigest(),
        workers=batch.workers,
        resume=batch.resume,
        on_start=print_resumed,
    )
    return BatchResult(complete=result.complete, files=result.complete, refused=[[error] for error in result.refused])


def _checked(results: Iterable[DraftedStudy], check_stop: StopCheck) -> Iterator[DraftedStudy]:
    """Pass results on, unless a signal has stopped the command."""
    for result in results:
        check_stop()
        yield result
