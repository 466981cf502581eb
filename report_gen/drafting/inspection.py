"""Show what a model is given of a study, and what it computes before a text is generated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from report_gen.drafting.limits import StudyLimits
from report_gen.drafting.preprocessing import StudyPreprocessor
from report_gen.drafting.request import DraftRequest
from report_gen.errors import StudyError
from report_gen.explaining import attention_heatmap
from report_gen.model import ReportModel
from report_gen.records import Heatmap, Image, PreprocessedImage, Study


class StudyInspector:
    """Shows the input of a model and its attention.

    Args:
        model: The model.
        preprocessor: Prepares studies for this model.
    """

    def __init__(self, model: ReportModel, preprocessor: StudyPreprocessor) -> None:
        self._model = model
        self._preprocessor = preprocessor

    def features(self, studies: Iterable[Study]) -> Iterator[NDArray[np.float64] | StudyError]:
        """Yield the encoder features of each study in order, averaged over views and patches [D_img], or its error."""
        for study in studies:
            loaded = self._preprocessor.load(DraftRequest(study), force=True)
            if isinstance(loaded, StudyError):
                yield loaded
            else:
                yield loaded.patch_features.double().mean((0, 1)).cpu().numpy()

    def attention_map(self, study: Study, *, max_views: int | None = None) -> Heatmap:
        """Return the attention of each finding over the first image of a study, see `Drafter.attention_map`."""
        loaded = self._preprocessor.load(DraftRequest(study), force=True, limits=StudyLimits(max_views=max_views))
        if isinstance(loaded, StudyError):
            raise loaded
        image, placement = self._preprocessor.load_first_image(loaded)
        images = self._preprocessor.collate([loaded])
        return attention_heatmap(self._model, **images._asdict(), image=image, placement=placement)

    def given_slices(self, study: Study, *, max_views: int | None = None) -> tuple[Image, ...]:
        """Return the slices of a volume that the model is given, see `Drafter.given_slices`."""
        return self._preprocessor.given_slices(study, max_views=max_views)

    def preprocessing_stages(self, study: Study, *, max_views: int | None = None) -> tuple[PreprocessedImage, ...]:
        """Return the images of a study after every step of their preprocessing, see `Drafter.preprocessing_stages`."""
        loaded = self._preprocessor.load(DraftRequest(study), force=True, limits=StudyLimits(max_views=max_views))
        if isinstance(loaded, StudyError):
            raise loaded
        return self._preprocessor.preprocessing_stages(loaded)
