"""Training data: corpora as encoded examples, decoded images and cached features; batches, sampling, augmentation.

Names are imported on first use: processes that decode images import only what they need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batches import IGNORED, Batch, BatchDataset
    from .data_loading import Groups, TrainingData, has_trained_findings, trained_findings, trained_prevalence
    from .example_store import ExampleStore, group_by_kind
    from .examples import TrainingExample
    from .preparation import PreparedCorpora, image_transform, prepare, prepare_sample, shared_cache
    from .targets import MIN_LABELS, Floats, has_enough_labels
    from .vocabulary import learn_vocabulary

_MODULES = {
    "IGNORED": "batches",
    "Batch": "batches",
    "BatchDataset": "batches",
    "ExampleStore": "example_store",
    "Floats": "targets",
    "Groups": "data_loading",
    "MIN_LABELS": "targets",
    "PreparedCorpora": "preparation",
    "TrainingData": "data_loading",
    "TrainingExample": "examples",
    "group_by_kind": "example_store",
    "has_enough_labels": "targets",
    "has_trained_findings": "data_loading",
    "image_transform": "preparation",
    "learn_vocabulary": "vocabulary",
    "prepare": "preparation",
    "prepare_sample": "preparation",
    "shared_cache": "preparation",
    "trained_findings": "data_loading",
    "trained_prevalence": "data_loading",
}

__all__ = [
    "IGNORED",
    "MIN_LABELS",
    "Batch",
    "BatchDataset",
    "ExampleStore",
    "Floats",
    "Groups",
    "PreparedCorpora",
    "TrainingData",
    "TrainingExample",
    "group_by_kind",
    "has_enough_labels",
    "has_trained_findings",
    "image_transform",
    "learn_vocabulary",
    "prepare",
    "prepare_sample",
    "shared_cache",
    "trained_findings",
    "trained_prevalence",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
