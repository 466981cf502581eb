"""Draft the studies of one call of `report-gen draft`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report_gen.cli.document_options import document_settings
from report_gen.cli.draft_models import digest_manifests, open_drafters, read_model_cards
from report_gen.cli.draft_output import DraftOutput, open_output
from report_gen.cli.draft_writing import DocumentComposer, write_drafts
from report_gen.cli.options import DtypeName, study_limits
from report_gen.cli.prior_input import prior_settings
from report_gen.errors import ReportGenError
from report_gen.outputs import DocumentOptions, OutputFormat

if TYPE_CHECKING:
    from report_gen.drafting import DrafterSet, DraftRequest, PriorStudy
    from report_gen.generation import Decoding
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
    decoding: Decoding

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

    checkpoints: Mapping[str, Path]
    """Folders of the models that may draft, by name."""
    base: str | None
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

    @property
    def drawings(self) -> Mapping[str, Path | None]:
        """The files of the drawings, by option."""
        return {"--attention": self.attention, "--show-preprocessing": self.preprocessing}


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
    check_stop: Callable[[], None],
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
    studies = list(models)
    digests = digest_manifests(batch.checkpoints)
    settings = batch.drafts.settings() | {"dtype": batch.dtype, "manifest": digests}
    with open_output(
        studies,
        batch.output,
        batch.formats,
        settings=settings | document_settings(batch.documents, batch.revises),
        own_settings=[prior_settings(priors.get(study, ())) for study in studies] if priors else (),
        resume=batch.resume,
        overwrite=batch.overwrite,
        revises=batch.revises,
    ) as target:
        result = BatchResult(refused=list(target.refused))
        if target.studies:  # the model takes seconds to load
            for output_format in batch.formats:
                output_format.load_libraries()
            drafters = open_drafters(
                batch.checkpoints, scopes, digests=digests, base=batch.base, device=batch.device, dtype=batch.dtype
            )
            failed = _draft(batch, target, drafters, models, priors, check_stop)
            result.refused += failed
            result.complete = len(target.studies) - len(failed)
            result.files = target.files_written
        return result


def _draft(
    batch: DraftBatch,
    target: DraftOutput,
    drafters: DrafterSet,
    models: Mapping[Study, Sequence[str]],
    priors: Mapping[Study, Sequence[PriorStudy]],
    check_stop: Callable[[], None],
) -> list[Sequence[ReportGenError]]:
    """Draft the studies of an output, each with one of its models. Return the errors of each incomplete study."""
    drafted = drafters.draft_all(
        [batch.drafts.request(study, priors.get(study, ())) for study in target.studies],
        [models[study] for study in target.studies],
        decoding=batch.drafts.decoding,
        batch_size=batch.batch_size,
        force=batch.drafts.force,
        limits=study_limits(batch.max_views, batch.timeout),
    )
    cards = read_model_cards(batch.checkpoints)
    documents = DocumentComposer(cards, batch.documents, batch.revises, priors, batch.max_views)
    return write_drafts(
        target, drafted, documents, check_stop, attention=batch.attention, preprocessing=batch.preprocessing
    )
