"""Records that pass between the process that reads studies and writes drafts, and the processes that draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.arguments import DtypeName
from report_gen.errors import ReportGenError
from report_gen.outputs import DocumentOptions

if TYPE_CHECKING:
    from report_gen.drafting import DraftRequest, ModelSource, StudyLimits
    from report_gen.generation import DecodingChoice
    from report_gen.imaging.scope_choice import ModelScope


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """What the drafts of a batch have in common."""

    sources: Mapping[str, ModelSource]
    """The models that may draft, by name."""
    scopes: Mapping[str, ModelScope]
    """Scope of each model, by its name."""
    digests: str
    """`digest_sources` of the models, which must not change until a model is loaded."""
    base: str | None
    """Base of a checkpoint that is an adapter, see `load_checkpoint`."""
    device: str
    dtype: DtypeName
    tuned: bool
    """Whether the models get the settings of `report-gen bench --tune`."""
    allow_remote: bool
    """Whether images may be sent to a model on another computer."""
    decoding: DecodingChoice
    batch_size: int
    """Number B of studies that the decoder processes together."""
    limits: StudyLimits
    force: bool
    """Draft studies outside the scope of the model as well."""
    documents: DocumentOptions
    revises: Path | None
    """Earlier document that the document of the only study replaces."""
    attention: bool = False
    """Whether the attention of the findings is drawn."""
    preprocessing: bool = False
    """Whether the preprocessing steps are drawn."""
    image_memory: int | None = None
    """Memory that a worker process may take to read one image, bytes. None: as in `limit_memory`."""


@dataclass(frozen=True, kw_only=True)
class StudyTask:
    """A study to draft, and the documents to write of its draft."""

    number: int
    """Index of the study in the batch."""
    request: DraftRequest
    models: tuple[str, ...]
    """Names of the models that may draft the study, the first one first."""
    formats: tuple[str, ...]
    """Names of the formats of its documents."""


Document = bytes | ReportGenError
"""Content of a file, or the error for which the file is not written."""


@dataclass(frozen=True, kw_only=True)
class DraftedStudy:
    """The documents of a study, or the error for which it is refused."""

    number: int
    """Index of the study in the batch."""
    model: str = ""
    """Name of the checkpoint that drafted it; empty if the study is refused."""
    model_name: str = ""
    """Name that the model of the checkpoint has in its configuration."""
    forced: tuple[str, ...] = ()
    """Notices of `Report.forced_notices`."""
    refused: ReportGenError | None = None
    documents: Mapping[str, Document] = field(default_factory=dict)
    """By the name of the format."""
    attention: Document | None = None
    """Drawing of the attention, PNG; None if none was requested."""
    preprocessing: Document | None = None
    """Drawing of the preprocessing, PNG; None if none was requested."""


def digest_sources(sources: Mapping[str, ModelSource]) -> str:
    """Return what identifies each model and its settings, see `ModelSource.digest`.

    Raises:
        CheckpointError: A checkpoint has no manifest.
    """
    return " ".join(source.digest() for source in sources.values())
