"""Order the images of a study into stacks of slices, and show stacks as views for an image encoder. Needs no torch."""

from report_gen.imaging.volumes.slice_stack import SetAside, SliceStack, StackCollection
from report_gen.imaging.volumes.stacks import find_stacks

__all__ = ["SetAside", "SliceStack", "StackCollection", "find_stacks"]
