"""The interface of a report generator: what a drafter needs from a model, whatever kind of model it is.

`CheckpointGenerator` is the implementation for checkpoints of report-gen, `ChatGenerator` the one for other models,
which answer a chat with images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from report_gen.config import AttributeConfig, PreprocessingStep
from report_gen.drafting.comparison import StudyComparison
from report_gen.drafting.limits import Deadline, StudyLimits
from report_gen.drafting.request import DraftRequest
from report_gen.errors import StudyError
from report_gen.generation import Decoding, GeneratedText
from report_gen.records import (
    Attribute,
    ConfidenceKind,
    Finding,
    FindingAttention,
    FindingSchema,
    FindingState,
    Heatmap,
    Image,
    PreprocessedImage,
    Study,
)

OnAttention = Callable[[Study, FindingAttention], None] | None
"""Callback that gets a study, with the images that the model gets, and the attention of its findings over the first
image. None if the attention is not needed."""


@dataclass(frozen=True, kw_only=True)
class GeneratorInfo:
    """What a model is, what it knows, and what the provenance says about it."""

    name: str
    weights_sha256: str
    """SHA-256 of the weights; empty if this computer does not have them."""
    revision: str = ""
    """Commit of the weights at a hub; empty if there is none."""
    remote: str = ""
    """Host to which the images are sent if it is another computer; empty otherwise."""
    device: str
    """Type of the device; empty if the model runs in another program."""
    dtype: str
    """Data type or quantization; empty if the model runs in another program."""
    schema: FindingSchema
    """The findings of the drafts."""
    reported: frozenset[str] = frozenset()
    """Names of the findings whose probability the model reports, because it was trained on them."""
    findings_from_text: bool = False
    """Whether the findings of drafts are read from their texts, because the model predicts none."""
    attributes: tuple[AttributeConfig, ...] = ()
    """Attributes that the model predicts."""
    has_locations: bool = False
    """Whether the model predicts side and zones of findings."""
    has_attention: bool = False
    """Whether the model has attention over an image for each finding."""
    has_features: bool = False
    """Whether the features of the images are available."""
    preprocessing: tuple[PreprocessingStep, ...] = ()
    """Steps that change the images before they are resized."""
    notice: str = ""
    """What every draft says about the model."""
    decoding: Decoding
    """Decoding unless the caller chooses another."""
    batch_size: int = 1
    """Number of studies that the model processes together at no cost for the drafts, such as an endpoint."""

    def unknown_findings(self) -> tuple[Finding, ...]:
        """Return the findings of a draft that states none, such as that of a blank image."""
        return tuple(
            Finding(
                name=name,
                state=FindingState.UNKNOWN,
                means_normal=name == self.schema.normal,
                from_text=self.findings_from_text,
            )
            for name in self.schema.findings
        )


class PreparedStudy(Protocol):
    """A study that is ready for the model."""

    @property
    def request(self) -> DraftRequest:
        """The request, with the study of those images only that the model gets."""
        ...

    @property
    def seconds(self) -> float:
        """Time that preparing the study took."""
        ...


@dataclass(frozen=True, kw_only=True)
class BlankStudy:
    """A study whose images show nothing. No model is asked about it, because it would invent a text."""

    request: DraftRequest
    notices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GeneratedDraft:
    """The text of a study, and what conditioned it."""

    text: GeneratedText
    confidence: ConfidenceKind = "token probability"
    """What the confidence of the sentences measures."""
    findings: tuple[Finding, ...]
    """Findings as they conditioned the text, or as they are read from it."""
    attributes: tuple[Attribute, ...] = ()
    """Attributes as they conditioned the text."""
    notices: tuple[str, ...] = ()
    """What the reader of the draft must know about the study and its images."""
    prompt_values: Mapping[str, str] = field(default_factory=dict)
    """Values of the prompt as the model got them, see `FittedPrompt.values`."""
    max_report_tokens: int
    """Number of tokens at which the text was cut."""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Further options of the generation, for the provenance."""
    comparison: StudyComparison | None = None
    """The prior study, and the changes since then; None if the model does not compare the studies."""
    comparison_text: str = ""
    """Text of the section COMPARISON; without it there is no such section."""
    knows_prior_report: bool = False
    """Whether the model got the report of the prior study, so that its text may compare."""


P = TypeVar("P", bound=PreparedStudy)


class ReportGenerator(Protocol[P]):
    """Generates the texts of drafts with one model. Several threads may share a generator."""

    @property
    def info(self) -> GeneratorInfo:
        """What the model is and what it knows."""
        ...

    def check_request(self, request: DraftRequest) -> DraftRequest:
        """Return a request with the settings of the reader by the names that the model has.

        Raises:
            UsageError: The model does not know a finding, location, attribute or value.
        """
        ...

    def prepare(
        self, request: DraftRequest, *, decoding: Decoding, limits: StudyLimits, blank: bool, force: bool
    ) -> P | BlankStudy | StudyError:
        """Load the images of a study that are in the scope of the model, and make the prompt.

        Args:
            request: A checked request.
            decoding: How the text will be generated.
            limits: Images that the study may have, and time that its draft may take.
            blank: Replace every image with uniform gray.
            force: Prepare a study outside the scope of the model as well, with a notice.

        Returns:
            The study, or the error for which it alone is refused.
        """
        ...

    def generate(
        self, batch: Sequence[P], *, decoding: Decoding, deadline: Deadline, on_attention: OnAttention
    ) -> Sequence[GeneratedDraft | StudyError]:
        """Generate the texts of one or more studies, or the error for which one alone is refused.

        Args:
            batch: B studies.
            decoding: How the texts are generated.
            deadline: Checked between the steps.
            on_attention: Gets the attention of each study; only if the model has attention.

        Raises:
            StudyError: A study is refused; the studies are then generated one by one.
            CheckpointError: The model is at fault, whatever the study is.
        """
        ...

    def features(self, studies: Iterable[Study]) -> Iterator[NDArray[np.float64] | StudyError]:
        """Yield the features [D_img] of each study, or its error; only if `info.has_features`."""
        ...

    def attention_map(self, study: Study, *, max_views: int | None) -> Heatmap:
        """Return the attention of each finding over the first image of a study; only if `info.has_attention`."""
        ...

    def given_slices(self, study: Study, *, max_views: int | None) -> tuple[Image, ...]:
        """Return the slices of a volume that the model gets; empty for a study without slices."""
        ...

    def preprocessing_stages(self, study: Study, *, max_views: int | None) -> tuple[PreprocessedImage, ...]:
        """Return the images of a study as they are after every step of their preprocessing."""
        ...
