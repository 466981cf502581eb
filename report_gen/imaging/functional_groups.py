"""Move attributes of the functional groups of a single frame to the top of the data set.

An enhanced object keeps window, rescale, spacing and shutter in its functional groups (PS3.3 C.7.6.16), other objects
at the top. After the move one code reads both.
"""

from __future__ import annotations

from pydicom import Dataset

SHUTTER_KEYWORDS = (
    "ShutterShape",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
    "CenterOfCircularShutter",
    "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter",
    "ShutterPresentationValue",
)
"""Attributes of the Display Shutter (PS3.3 C.7.6.11)."""

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing",),  # PS3.3 C.7.6.16.2.1
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),  # PS3.3 C.7.6.16.2.9b
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),  # C.7.6.16.2.10
    "FrameDisplayShutterSequence": SHUTTER_KEYWORDS,  # PS3.3 C.7.6.16.2.16
}
FUNCTIONAL_GROUP_KEYWORDS = (*_GROUPS, *_MACROS)
"""Attributes that must be read so that `promote_functional_groups` finds the functional groups."""


def promote_functional_groups(dataset: Dataset) -> None:
    """Copy the attributes of the first frame's functional groups to the top, where they replace others.

    Groups of the frame take precedence over shared ones. The data set is changed.
    """
    for keyword in _GROUPS:
        for group in (dataset.get(keyword) or ())[:1]:
            for macro, attributes in _MACROS.items():
                for item in (group.get(macro) or ())[:1]:
                    for attribute in attributes:
                        if attribute in item:
                            dataset[attribute] = item[attribute]
