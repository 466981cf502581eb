"""Record of a rectangle of pixels."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle of whole pixels of an image."""

    top: int
    """First row."""
    left: int
    """First column."""
    rows: int
    columns: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array [H,W]."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)

    def inner(self, part: Box) -> Box:
        """Return a part of this rectangle, given in its own rows and columns, in those of the image."""
        return part._replace(top=self.top + part.top, left=self.left + part.left)
