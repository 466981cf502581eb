"""Order the images of a study into stacks of slices, and show stacks as views for an image encoder. Needs no torch."""

from report_gen.imaging.volumes.display_orientation import DisplayTransform, display_transform
from report_gen.imaging.volumes.resampling import (
    IsotropicGrid,
    ResampledVolume,
    plan_grid,
    resample_isotropic,
    resampled_slices,
)
from report_gen.imaging.volumes.sampling import chunks, sample_by_content, sample_evenly, slice_contents
from report_gen.imaging.volumes.slice_stack import SetAside, SliceStack, StackCollection
from report_gen.imaging.volumes.stacks import find_stacks
from report_gen.imaging.volumes.views import Sampling, StackViews, stack_views
from report_gen.imaging.volumes.volume import LoadImages, Progress, Volume, open_volume
from report_gen.imaging.volumes.windows import (
    CT_WINDOWS,
    ChosenWindows,
    Window,
    apply_windows,
    choose_windows,
    ct_windows,
    look_like_hounsfield,
    robust_window,
    sample_values,
)

__all__ = [
    "CT_WINDOWS",
    "ChosenWindows",
    "DisplayTransform",
    "IsotropicGrid",
    "LoadImages",
    "Progress",
    "ResampledVolume",
    "Sampling",
    "SetAside",
    "SliceStack",
    "StackCollection",
    "StackViews",
    "Volume",
    "Window",
    "apply_windows",
    "choose_windows",
    "chunks",
    "ct_windows",
    "display_transform",
    "find_stacks",
    "look_like_hounsfield",
    "open_volume",
    "plan_grid",
    "resample_isotropic",
    "resampled_slices",
    "robust_window",
    "sample_by_content",
    "sample_evenly",
    "sample_values",
    "slice_contents",
    "stack_views",
]
