"""Find the pixels that the Display Shutter of an image hides (PS3.3 C.7.6.11)."""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw
from pydicom import Dataset
from pydicom.multival import MultiValue

from report_gen.imaging.attributes import optional_value

_WHITE = 65535
"""The P-value of white in Shutter Presentation Value."""

_LEAST_VISIBLE = 0.01
"""A smaller visible share of the image is the result of a wrong header, such as a radius of 0."""

_EDGES = (
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
)


def visible_pixels(dataset: Dataset, aspect: float) -> NDArray[np.bool_] | None:
    """Return the pixels [H,W] that no shutter hides, or None if all are visible.

    A shutter that is malformed or would hide nearly the whole image is ignored.

    Args:
        dataset: Attributes of the image.
        aspect: Height of a pixel divided by its width.
    """
    shapes = optional_value(dataset, "ShutterShape")
    if not shapes:
        return None
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    visible = np.ones((rows, columns), dtype=bool)
    for shape in [shapes] if isinstance(shapes, str) else shapes:
        if shape == "RECTANGULAR":
            visible &= _rectangle(dataset, rows, columns)
        elif shape == "CIRCULAR":
            visible &= _circle(dataset, rows, columns, aspect)
        elif shape == "POLYGONAL":
            visible &= _polygon(dataset, rows, columns)
    return None if visible.all() or visible.mean() < _LEAST_VISIBLE else visible


def shutter_intensity(dataset: Dataset) -> float:
    """Return the intensity 0..1 of hidden pixels by Shutter Presentation Value (0018,1622), 0 if it is absent."""
    return min(sum(_integers(dataset, "ShutterPresentationValue")[:1]) / _WHITE, 1.0)


def _rectangle(dataset: Dataset, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the pixels within the edges. Rows and columns are counted from 1, and the edges are visible."""
    edges = [edge for keyword in _EDGES for edge in _integers(dataset, keyword)]
    if len(edges) != len(_EDGES):
        return np.ones((rows, columns), dtype=bool)
    left, right, upper, lower = edges
    y, x = np.arange(1, rows + 1)[:, None], np.arange(1, columns + 1)
    return np.asarray((y >= upper) & (y <= lower) & (x >= left) & (x <= right))


def _circle(dataset: Dataset, rows: int, columns: int, aspect: float) -> NDArray[np.bool_]:
    """Return the pixels within the circle, which is round on the display: its radius counts pixels along a row."""
    center, radius = _integers(dataset, "CenterOfCircularShutter"), _integers(dataset, "RadiusOfCircularShutter")
    if len(center) != 2 or len(radius) != 1:
        return np.ones((rows, columns), dtype=bool)
    y, x = (np.arange(1, rows + 1)[:, None] - center[0]) * aspect, np.arange(1, columns + 1) - center[1]
    return np.asarray(y**2 + x**2 <= radius[0] ** 2)


def _polygon(dataset: Dataset, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the pixels within the polygon, whose vertices are pairs of row and column."""
    vertices = _integers(dataset, "VerticesOfThePolygonalShutter")
    if len(vertices) < 6 or len(vertices) % 2:
        return np.ones((rows, columns), dtype=bool)
    mask = PIL.Image.new("1", (columns, rows))
    points = [(x - 1, y - 1) for y, x in zip(vertices[::2], vertices[1::2], strict=True)]
    ImageDraw.Draw(mask).polygon(points, fill=1, outline=1)
    return np.asarray(mask)


def _integers(dataset: Dataset, keyword: str) -> list[int]:
    """Return the values of an attribute with one or several integers; none if it is absent or malformed."""
    value = optional_value(dataset, keyword)
    if value is None or value == "":
        return []
    return [int(number) for number in (value if isinstance(value, MultiValue) else (value,))]
