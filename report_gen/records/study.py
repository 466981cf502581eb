"""What was imaged: Study > Series > Image. Frozen records without pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path


class ViewPosition(StrEnum):
    """How the beam met the patient. `dicom_attributes` says which DICOM terms become which."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "FRONTAL"
    """PA or AP, not known which."""
    LATERAL = "LATERAL"
    OBLIQUE = "OBLIQUE"
    DECUBITUS = "DECUBITUS"
    UNKNOWN = "UNKNOWN"

    @property
    def is_frontal(self) -> bool:
        return self in (ViewPosition.PA, ViewPosition.AP, ViewPosition.FRONTAL)


class Laterality(StrEnum):
    """Side of the body part, DICOM Image Laterality (0020,0062)."""

    LEFT = "L"
    RIGHT = "R"
    BOTH = "B"
    UNPAIRED = "U"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True)
class Image:
    path: Path
    sha256: str
    """Of the whole file, hexadecimal."""
    rows: int
    columns: int
    sop_instance_uid: str | None = None
    instance_number: int | None = None
    view_position: ViewPosition = ViewPosition.UNKNOWN
    laterality: Laterality = Laterality.UNKNOWN
    pixel_spacing: tuple[float, float] | None = None
    """Millimetres between rows and between columns."""


@dataclass(frozen=True, kw_only=True)
class Series:
    images: tuple[Image, ...]
    series_instance_uid: str | None = None
    series_number: int | None = None
    modality: str | None = None
    """DICOM Modality (0008,0060), such as CR, DX, CT."""
    body_part: str | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    name: str
    """A name for output files: the file's stem, the folder's name or the Study Instance UID."""
    series: tuple[Series, ...]
    study_instance_uid: str | None = None
    patient_id: str | None = field(default=None, repr=False)
    patient_age: float | None = field(default=None, repr=False)
    """Years."""
    patient_sex: str | None = field(default=None, repr=False)
    """DICOM Patient's Sex (0010,0040): M, F or O."""
    description: str | None = field(default=None, repr=False)
    indication: str | None = field(default=None, repr=False)

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(image for series in self.series for image in series.images)

    def with_view(self, view: ViewPosition) -> Study:
        """Return a copy in which images of unknown view have this view; a known view is kept."""

        def with_known_view(image: Image) -> Image:
            return replace(image, view_position=view) if image.view_position is ViewPosition.UNKNOWN else image

        series = (replace(series, images=tuple(map(with_known_view, series.images))) for series in self.series)
        return replace(self, series=tuple(series))
