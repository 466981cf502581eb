"""Recognize images that are no slices of a scan, such as localizers, dose reports, projections and reformats."""

from __future__ import annotations

import re
from typing import Literal

from report_gen.imaging.modality import UNINFORMATIVE_MODALITIES
from report_gen.records import Image, Series

Use = Literal["slice", "reformat", "aside"]
"""How an image is used: as a slice; as a slice if the study has no others, because it repeats them; or not at all."""

_LOCALIZER = re.compile(r"LOCALI[SZ]ER|SCOUT|TOPOGRAM")
"""Terms of Image Type: LOCALIZER is the value of the standard (PS3.3 C.8.2.1.1.1, C.8.16.1.3)."""
_LOCALIZER_SERIES = re.compile(r"\b(local[iy][sz]er|scout|survey|(3|three)[ -]?plane)\b|aahead_?scout", re.IGNORECASE)
"""Words of the description of an MR series. The Image Type of MR localizers is that of other slices."""
_DOSE_TYPE = re.compile(r"\bDOSE[ _]?(REPORT|INFO)|\bPROT\b")
"""Terms of Image Type, such as CT_SOM5 PROT."""
_DOSE_SERIES = re.compile(
    r"\bdose[ _-]*(report|info|record|summary|screen|sheet|page)|\b(patient|exam(ination)?)[ _-]*protocol|"
    r"\bdosis[ _-]*(bericht|protokoll|info)",
    re.IGNORECASE,
)
"""Words of the description of a series. "Low dose" and "dose" alone describe scans."""
_PROJECTIONS = {
    "MIP": r"MIP|MAX_?IP|MAXIMUM",
    "MinIP": r"MIN_?IP|MNIP|MINIMUM",
    "rendering": r"VRT|VR|SSD|VOLUME[ _]?REND\w*|VOLREN",
    "projection": r"PROJECTION( IMAGE)?",
}
"""Terms of Image Type from the third on, by the name of the derived image. MAXIMUM and MINIMUM are those of enhanced
objects (PS3.3 C.8.16.1.4)."""
_REFORMATS = r"MPR|REFORMATTED|RESAMPLED|MULTIPLANAR|CPR|CURVED"


def classify_image(image: Image, series: Series) -> tuple[Use, str]:
    """Return how an image is used, and a noun phrase that says why if it is no slice of a scan."""
    if image.quality_control:
        return "aside", "quality control phantom"
    for reason, holds in (
        ("localizer", _is_localizer(image, series)),
        ("dose report", _is_dose_report(image, series)),
        ("secondary capture", _is_secondary_capture(image, series)),
    ):
        if holds:
            return "aside", reason
    is_derived = _value(image, 0) == "DERIVED"
    projection = next((name for name, terms in _PROJECTIONS.items() if is_derived and _has_term(image, terms)), None)
    if projection:
        return "aside", f"derived: {projection}"
    if is_derived and _has_term(image, _REFORMATS):
        return "reformat", "derived: reformatted slices"
    return "slice", ""


def _is_localizer(image: Image, series: Series) -> bool:
    if any(_LOCALIZER.search(value) for value in image.image_type[2:]):
        return True
    return series.modality == "MR" and any(map(_LOCALIZER_SERIES.search, series.descriptions))


def _is_dose_report(image: Image, series: Series) -> bool:
    return any(map(_DOSE_TYPE.search, image.image_type[2:])) or any(map(_DOSE_SERIES.search, series.descriptions))


def _is_secondary_capture(image: Image, series: Series) -> bool:
    """Return whether an image was captured from a screen. Reformats of workstations are SECONDARY and have a plane."""
    if any(value in ("SCREEN SAVE", "SCREENSHOT") for value in image.image_type[2:]):
        return True
    is_secondary = _value(image, 1) == "SECONDARY" or series.modality in UNINFORMATIVE_MODALITIES
    return is_secondary and image.plane is None and image.frame is None


def _has_term(image: Image, terms: str) -> bool:
    return any(re.search(rf"(?<![A-Z0-9])({terms})(?![A-Z0-9])", value) for value in image.image_type[2:])


def _value(image: Image, index: int) -> str:
    return image.image_type[index] if len(image.image_type) > index else ""
