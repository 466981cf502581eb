"""Records of studies: a study has series, and a series has images. The records contain no pixels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from report_gen.records.slices import Acquisition, SlicePlane, ViewOffset, Window
from report_gen.records.study_time import StudyTime


class ViewPosition(StrEnum):
    """Direction of the beam through the patient in a radiograph."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "FRONTAL"
    """PA or AP; which of the two is not known."""
    LATERAL = "LATERAL"
    OBLIQUE = "OBLIQUE"
    DECUBITUS = "DECUBITUS"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def from_term(cls, term: str) -> ViewPosition:
        """Return the view that a term of DICOM or of a corpus means; UNKNOWN for other terms.

        Args:
            term: A value of View Position (0018,5101), such as "LL", or words such as "lateral" or "AP portable". Words
                for the position of the patient are ignored; a term with two views is unknown.
        """
        words = [word for word in _SEPARATORS.split(term.upper()) if word]
        if view := _VIEW_TERMS.get(" ".join(words)):
            return view
        views = {_VIEW_TERMS.get(word) for word in words if word not in _VIEW_DETAILS}
        for special in (cls.DECUBITUS, cls.OBLIQUE):  # `left lateral decubitus`, `right anterior oblique`
            if special in views:
                return special
        only = views.pop() if len(views) == 1 else None
        return only or cls.UNKNOWN

    @property
    def is_frontal(self) -> bool:
        return self in (ViewPosition.PA, ViewPosition.AP, ViewPosition.FRONTAL)

    @property
    def may_be_frontal(self) -> bool:
        """Whether the view is frontal or unknown, as that of a picture without a header."""
        return self.is_frontal or self is ViewPosition.UNKNOWN

    @property
    def label(self) -> str:
        """The view as a text calls it: "PA", "AP", "lateral"."""
        return self.value if self in (ViewPosition.PA, ViewPosition.AP) else self.value.lower()


_VIEW_TERMS = {
    **{view.value: view for view in ViewPosition},
    # Defined terms of View Position: PS3.3 C.8.1.1 and C.8.11.5.
    **dict.fromkeys(("LL", "RL"), ViewPosition.LATERAL),
    **dict.fromkeys(("LLD", "RLD"), ViewPosition.DECUBITUS),
    **dict.fromkeys(("LLO", "RLO"), ViewPosition.OBLIQUE),
    # Terms that devices and corpora use as well.
    **dict.fromkeys(
        ("POSTEROANTERIOR", "POSTERO ANTERIOR", "POSTERIOR ANTERIOR", "POSTERIORANTERIOR", "P A"), ViewPosition.PA
    ),
    **dict.fromkeys(
        ("ANTEROPOSTERIOR", "ANTERO POSTERIOR", "ANTERIOR POSTERIOR", "ANTERIORPOSTERIOR", "A P"), ViewPosition.AP
    ),
    **dict.fromkeys(("FRONT", "PA AP", "AP PA", "PA OR AP", "AP OR PA"), ViewPosition.FRONTAL),
    **dict.fromkeys(("L", "LAT", "SIDE", "PROFILE"), ViewPosition.LATERAL),
    **dict.fromkeys(("LAO", "RAO", "LPO", "RPO"), ViewPosition.OBLIQUE),
    **dict.fromkeys(("DECUB", "DECUBITAL"), ViewPosition.DECUBITUS),
}
_SEPARATORS = re.compile(r"[\s_,;/().-]+")
_VIEW_DETAILS = frozenset(
    (
        *("PORTABLE", "MOBILE", "BEDSIDE", "SUPINE", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SEMIERECT", "SEMI"),
        *("AXIAL", "CHEST", "CXR", "XR", "THORAX", "VIEW", "VIEWS", "PROJECTION", "SINGLE", "1", "ONE"),
        *("LEFT", "RIGHT", "LL", "RL", "INSPIRATION", "EXPIRATION", "ANTERIOR", "POSTERIOR"),
    )
)
"""Words beside a view that name another property of the radiograph: `AP Portable`, `Chest lateral left`."""


class Laterality(StrEnum):
    """Side of the body part, DICOM Image Laterality (0020,0062)."""

    LEFT = "L"
    RIGHT = "R"
    BOTH = "B"
    UNPAIRED = "U"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image: a file, or a frame of a file with several."""

    path: Path
    sha256: str
    """SHA-256 of the whole file, hexadecimal."""
    rows: int
    columns: int
    """Size of the image that `load_pixels` returns: upright, and resampled if the pixels are not square."""
    frame: int | None = None
    """Index of the frame in the file, from 0. None: the file has one image."""
    sop_instance_uid: str | None = None
    instance_number: int | None = None
    view_position: ViewPosition = ViewPosition.UNKNOWN
    laterality: Laterality = Laterality.UNKNOWN
    pixel_spacing: tuple[float, float] | None = None
    """Distance between rows and distance between columns, millimeters."""
    plane: SlicePlane | None = None
    """Position in the patient of an image that is a slice of a volume."""
    plane_problem: str | None = None
    """Why a slice has no plane: which attribute of its header is missing or contradicts itself. No patient data."""
    acquisition: Acquisition | None = None
    """What distinguishes the image from others of its series that show the same place."""
    window: Window | None = None
    """Range of values that `load_pixels` shows, and the slice is turned as radiologists look at it. None: the display
    attributes of the header, and the image as it is stored."""
    header_window: Window | None = None
    """First usable Window Center (0028,1050) and Window Width (0028,1051) of the header of a slice, named "header"."""
    offset: ViewOffset | None = None
    """Offset from the other images of the study that a corpus states; None: that of the header, see `view_offsets`."""
    image_type: tuple[str, ...] = ()
    """Values of DICOM Image Type (0008,0008), or Frame Type (0008,9007) of a frame, in upper case."""
    for_processing: bool = False
    """Whether the pixels are raw detector values, DICOM Presentation Intent Type (0008,0068) FOR PROCESSING."""
    quality_control: bool = False
    """Whether the image shows a phantom, DICOM Quality Control Image (0028,0300) YES."""
    synthetic: bool = False
    """Whether the file is marked as a synthetic image of report-gen, which shows no patient."""
    indication: str | None = field(default=None, repr=False)
    """Reason for the examination that the header of this image states."""

    @property
    def key(self) -> tuple[Path, int | None]:
        """File and frame, which distinguish the image from all others. A file may have several frames."""
        return self.path, self.frame


@dataclass(frozen=True, kw_only=True)
class Series:
    """Images that were acquired together, in the order of their instance numbers."""

    images: tuple[Image, ...]
    series_instance_uid: str | None = None
    series_number: int | None = None
    modality: str | None = None
    """DICOM Modality (0008,0060), such as CR, DX or CT."""
    body_part: str | None = None
    """DICOM Body Part Examined (0018,0015)."""
    anatomic_region: str | None = None
    """Code Meaning of the DICOM Anatomic Region Sequence (0008,2218)."""
    descriptions: tuple[str, ...] = field(default=(), repr=False)
    """DICOM Series Description (0008,103E) and Protocol Name (0018,1030), as far as the header has them."""
    study_description: str | None = field(default=None, repr=False)
    """DICOM Study Description (0008,1030), which may differ between the files of a study."""
    modality_set: bool = False
    """Whether the user stated the modality, so that it does not prove which units the values have."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """The images of one examination. `repr` omits everything that may identify the patient."""

    name: str
    """Name for output files: the stem of the file, the name of the folder or the Study Instance UID."""
    series: tuple[Series, ...]
    study_instance_uid: str | None = None
    patient_id: str | None = field(default=None, repr=False)
    patient_age: float | None = field(default=None, repr=False)
    """Age at the examination, years. The youngest that the headers of the images state."""
    patient_sex: str | None = field(default=None, repr=False)
    """DICOM Patient's Sex (0010,0040): M, F or O."""
    patient_species: str | None = None
    """DICOM Patient Species Description (0010,2201), else Patient Species Code Sequence (0010,2202), else the breed."""
    indication: str | None = field(default=None, repr=False)
    """Reason for the examination. From headers: that of the first image that states one."""
    admitting_diagnoses: str | None = field(default=None, repr=False)
    """DICOM Admitting Diagnoses Description (0008,1080)."""
    study_time: StudyTime | None = field(default=None, repr=False)
    """When the study was made; None for pictures and for headers without a date. Of several files the earliest."""
    unreadable_images: int = 0
    """Number of files that belong to the study and cannot be read."""

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all series."""
        return tuple(image for series in self.series for image in series.images)

    @property
    def description(self) -> str | None:
        """The Study Description of the first series that has one."""
        return next(filter(None, (series.study_description for series in self.series)), None)

    @property
    def path(self) -> Path:
        """The file of a study whose images lie in one file, else the folder of its first image."""
        first = self.images[0].path
        return first if all(image.path == first for image in self.images) else first.parent

    def with_view(self, view: ViewPosition) -> Study:
        """Return a copy in which images of unknown view have this view; a known view is kept."""

        def with_known_view(image: Image) -> Image:
            return replace(image, view_position=view) if image.view_position is ViewPosition.UNKNOWN else image

        series = (replace(series, images=tuple(map(with_known_view, series.images))) for series in self.series)
        return replace(self, series=tuple(series))

    def with_attributes(self, attributes: Mapping[str, str]) -> Study:
        """Return a copy in which series of slices have the modality and the body part that the user states.

        The windows of the slices follow from them. What the user states takes precedence over the header. Series
        without slices or frames are kept, because no window is chosen for them.

        Args:
            attributes: Values by the names in `ATTRIBUTES`; empty values, which mean unknown, change nothing.
        """
        modality, body_part = attributes.get("modality", ""), attributes.get("body_part", "")
        changes: dict[str, Any] = {"body_part": body_part, "anatomic_region": None} if body_part else {}

        def with_stated(series: Series) -> Series:
            if all(image.plane is None and image.frame is None for image in series.images):
                return series
            changed = replace(series, **changes)
            is_set = modality not in ("", series.modality)
            return replace(changed, modality=modality, modality_set=True) if is_set else changed

        return replace(self, series=tuple(map(with_stated, self.series)))

    def with_images(self, images: Sequence[Image]) -> Study:
        """Return a copy with these images only, in their order within each series.

        Images are found by file and frame, and may have other attributes than those of the study. The indication of an
        image that is left out is left out as well.
        """
        remaining = []
        for one in self.series:
            keys = {image.key for image in one.images}
            remaining.append(replace(one, images=tuple(image for image in images if image.key in keys)))
        indication = self.indication
        if indication is not None and indication in {image.indication for image in self.images}:
            indication = first_indication(images)
        return replace(self, series=tuple(series for series in remaining if series.images), indication=indication)


def first_indication(images: Iterable[Image]) -> str | None:
    """Return the indication of the first image that states one."""
    return next((image.indication for image in images if image.indication), None)
