"""Order the images of a study into stacks of slices, and show stacks as views for an image encoder. Needs no torch."""

from report_gen.imaging.display_orientation import DisplayTransform, display_transform
from report_gen.imaging.modality import has_slices
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
from report_gen.imaging.volumes.study_views import StudyViews, choose_views, choose_volume, share_views
from report_gen.imaging.volumes.views import ChosenSlices, Sampling, StackViews, choose_slices, stack_views
from report_gen.imaging.volumes.volume import LoadImages, Progress, Volume, open_volume
from report_gen.imaging.volumes.windows import (
    CT_WINDOWS,
    DEFAULT_CT_WINDOW,
    ChosenWindow,
    ChosenWindows,
    apply_windows,
    body_part_window,
    choose_window,
    choose_windows,
    ct_windows,
    describe_window,
    look_like_hounsfield,
    robust_window,
    sample_values,
)
from report_gen.records import Window

__all__ = [
    "CT_WINDOWS",
    "DEFAULT_CT_WINDOW",
    "ChosenSlices",
    "ChosenWindow",
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
    "StudyViews",
    "Volume",
    "Window",
    "apply_windows",
    "body_part_window",
    "choose_slices",
    "choose_views",
    "choose_volume",
    "choose_window",
    "choose_windows",
    "chunks",
    "ct_windows",
    "describe_window",
    "display_transform",
    "find_stacks",
    "has_slices",
    "look_like_hounsfield",
    "open_volume",
    "plan_grid",
    "resample_isotropic",
    "resampled_slices",
    "robust_window",
    "sample_by_content",
    "sample_evenly",
    "sample_values",
    "share_views",
    "slice_contents",
    "stack_views",
]
