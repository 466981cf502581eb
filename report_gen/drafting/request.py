"""Request for a draft: a study with the information that the user adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from report_gen.drafting.prior_studies import PriorStudy
from report_gen.errors import UsageError
from report_gen.records import FindingLocation, FindingState, Study


@dataclass(frozen=True)
class DraftRequest:
    """A study to draft, with further information and the settings of the reader.

    Raises:
        UsageError: A value is of another type.
    """

    study: Study
    _: KW_ONLY
    priors: tuple[PriorStudy, ...] = ()
    """Earlier studies of the patient. The draft is compared with the latest one."""
    indication: str | None = None
    """Why the study was ordered; None takes the indication of the study itself."""
    technique: str | None = None
    """How the images were acquired, in words."""
    comparison: str | None = None
    """Text of the section COMPARISON; None names the prior study with which the draft is compared."""
    overrides: Mapping[str, FindingState] = field(default_factory=dict)
    """Finding states set by the reader, by finding name. They take precedence over the model."""
    locations: Mapping[str, FindingLocation] = field(default_factory=dict)
    """Side and zones of findings set by the reader, by finding name; for findings that are present or uncertain. They
    take precedence over the model."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Attribute values set by the reader, by attribute name, "" for unknown. They take precedence over header and
    model."""

    def __post_init__(self) -> None:
        study: object = self.study
        if not isinstance(study, Study):
            raise UsageError(f"a study is expected instead of {_kind(study)}; read it with read_study")
        for prior in self.priors:
            if not isinstance(prior, PriorStudy):
                raise UsageError(f"priors contains {_kind(prior)}; give PriorStudy(study) for each prior study")
        for name in ("indication", "technique", "comparison"):
            text: object = getattr(self, name)
            if text is not None and not isinstance(text, str):
                raise UsageError(f"the {name} is of type {_kind(text)}; give a text")
        _check_mapping("overrides", self.overrides, str, "a text")
        _check_mapping("locations", self.locations, FindingLocation, "a FindingLocation")
        _check_mapping("attributes", self.attributes, str, "a text")


def _check_mapping(name: str, values: object, kind: type, described: str) -> None:
    """Raise UsageError if a field is no mapping from texts to values of a kind."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{name} is of type {_kind(values)}; give a mapping from names to values")
    for key, value in values.items():
        if not isinstance(key, str):
            raise UsageError(f"{name} contains {repr(key)[:100]}; give a text for each name")
        if not isinstance(value, kind):
            raise UsageError(f"{name} contains {repr(value)[:100]}; give {described} for each value")


def _kind(value: object) -> str:
    return type(value).__name__


def as_requests(
    studies: Sequence[Study | DraftRequest],
    *,
    indication: str | None,
    overrides: Mapping[str, FindingState],
    attributes: Mapping[str, str],
    locations: Mapping[str, FindingLocation],
) -> list[DraftRequest]:
    """Return a request for each study, with these values for plain studies.

    Args:
        studies: Studies, or requests, which are returned unchanged.
        indication: Indication of the plain studies; None takes that of the study.
        overrides: Finding states of the plain studies, by finding name.
        attributes: Attribute values of the plain studies, by attribute name.
        locations: Locations of findings of the plain studies, by finding name.

    Raises:
        UsageError: Values are given beside a request, which has its own, or a value is of another type.
    """
    if isinstance(studies, Study | DraftRequest | str):
        raise UsageError(f"a list of studies is expected instead of {_kind(studies)}; give [study]")
    given = indication is not None or bool(overrides) or bool(attributes) or bool(locations)
    if given and any(isinstance(study, DraftRequest) for study in studies):
        raise UsageError(
            "a DraftRequest carries its own indication, overrides, locations and attributes; set them there"
        )
    return [
        study
        if isinstance(study, DraftRequest)
        else DraftRequest(study, indication=indication, overrides=overrides, attributes=attributes, locations=locations)
        for study in studies
    ]


def refuse_overrides(model: str, *settings: Mapping[str, object]) -> None:
    """Raise UsageError if the reader sets findings, locations or attributes of a model that takes images and texts.

    Args:
        model: Name of the model.
        settings: What the reader sets, by name.
    """
    if any(settings):
        raise UsageError(f"{model}: the model takes no findings and attributes; state them in the indication")
