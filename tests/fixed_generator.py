"""A report generator for tests that looks up its texts by the names of the images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.report_generator import GeneratedDraft, GeneratorInfo
from report_gen.errors import StudyError
from report_gen.generation import Decoding, GeneratedText
from report_gen.labeling import chest_xray
from report_gen.records import Finding, FindingSchema, FindingState, parse_report

BLANK_TEXT = "FINDINGS: The lungs are clear."


@dataclass(frozen=True)
class FixedStudy:
    """A study, and whether its images are gray."""

    request: DraftRequest
    blank: bool
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FixedGenerator:
    """Gives the text of the first image of a study. Implements `ReportGenerator`."""

    name: str
    texts: Mapping[str, str]
    """Text by the stem of the first image."""
    blank_text: str = BLANK_TEXT
    refused: Collection[str] = ()
    """Names of the studies that are refused."""
    refused_blank: Collection[str] = ()
    """Names of the studies whose gray images are refused."""
    fault: Exception | None = None
    """Raised while a text is generated."""
    schema: FindingSchema = field(default_factory=chest_xray)
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `info`."""

    @property
    def info(self) -> GeneratorInfo:
        values: dict[str, Any] = {"weights_sha256": "ab" * 32, "device": "cpu", "dtype": "float32"}
        values |= {"schema": self.schema, "decoding": Decoding(max_tokens=77)}
        return GeneratorInfo(name=self.name, **values | dict(self.changes))

    def check_request(self, request: DraftRequest) -> DraftRequest:
        return request

    def prepare(self, request: DraftRequest, *, blank: bool, **_: Any) -> FixedStudy | StudyError:
        refused = self.refused_blank if blank else self.refused
        if request.study.name in refused:
            return StudyError(Path(request.study.name), "is refused")
        return FixedStudy(request, blank)

    def generate(self, batch: Sequence[FixedStudy], **_: Any) -> list[GeneratedDraft]:
        if self.fault is not None:
            raise self.fault
        return [self._draft(study) for study in batch]

    def _draft(self, study: FixedStudy) -> GeneratedDraft:
        text = self.blank_text if study.blank else self.texts[study.request.study.images[0].path.stem]
        return GeneratedDraft(
            text=GeneratedText(sections=parse_report(text), confidence=None),
            findings=tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in self.schema.findings),
            max_report_tokens=77,
        )


def loads(**fields: Any) -> Callable[[], Drafter]:
    """Return a function that makes a drafter of a `FixedGenerator` with these fields."""
    return lambda: Drafter(FixedGenerator(**fields))  # type: ignore[arg-type]
