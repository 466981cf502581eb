"""Training data: corpora as encoded examples, decoded images and cached features; batches, sampling, augmentation.

Names are imported on first use: processes that decode images import only what they need.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from .batches import IGNORED, Batch, BatchDataset
    from .continuations import count_continuations
    from .data_loading import Groups, TrainingData, trained_findings, trained_locations
    from .example_store import ExampleStore, group_by_kind
    from .examples import TrainingExample
    from .image_cache import ImageCache, cache_images
    from .patient_split import LEFT_OUT, assign_splits, is_held_out
    from .prefetching import prefetch
    from .preparation import PreparedCorpora, decode_images, image_transform, prepare, prepare_sample, shared_cache
    from .pretrained_vocabulary import keep_vocabulary, token_rows
    from .recognizer_data import LabeledImage, recognizer_images, split_of_group
    from .shuffled_passes import draw_seed, pass_indices
    from .soft_label_files import write_soft_labels
    from .studies import open_corpus
    from .study_pairs import StudyPair, pair_studies
    from .targets import MIN_LABELS, Floats
    from .text_cleaning import CleaningRules, clean_report
    from .trained_views import count_trained_views
    from .vocabulary import PatientText, learn_vocabulary
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "batches": ("IGNORED", "Batch", "BatchDataset"),
            "continuations": ("count_continuations",),
            "data_loading": ("Groups", "TrainingData", "trained_findings", "trained_locations"),
            "example_store": ("ExampleStore", "group_by_kind"),
            "examples": ("TrainingExample",),
            "image_cache": ("ImageCache", "cache_images"),
            "patient_split": ("LEFT_OUT", "assign_splits", "is_held_out"),
            "preparation": (
                "PreparedCorpora",
                "decode_images",
                "image_transform",
                "prepare",
                "prepare_sample",
                "shared_cache",
            ),
            "pretrained_vocabulary": ("keep_vocabulary", "token_rows"),
            "recognizer_data": ("LabeledImage", "recognizer_images", "split_of_group"),
            "prefetching": ("prefetch",),
            "shuffled_passes": ("draw_seed", "pass_indices"),
            "studies": ("open_corpus",),
            "text_cleaning": ("CleaningRules", "clean_report"),
            "soft_label_files": ("write_soft_labels",),
            "study_pairs": ("StudyPair", "pair_studies"),
            "targets": ("MIN_LABELS", "Floats"),
            "trained_views": ("count_trained_views",),
            "vocabulary": ("PatientText", "learn_vocabulary"),
        },
    )

__all__ = [
    "IGNORED",
    "LEFT_OUT",
    "MIN_LABELS",
    "Batch",
    "BatchDataset",
    "CleaningRules",
    "ExampleStore",
    "Floats",
    "Groups",
    "ImageCache",
    "LabeledImage",
    "PatientText",
    "PreparedCorpora",
    "StudyPair",
    "TrainingData",
    "TrainingExample",
    "assign_splits",
    "cache_images",
    "clean_report",
    "count_continuations",
    "count_trained_views",
    "decode_images",
    "draw_seed",
    "group_by_kind",
    "image_transform",
    "is_held_out",
    "keep_vocabulary",
    "learn_vocabulary",
    "open_corpus",
    "pair_studies",
    "pass_indices",
    "prefetch",
    "prepare",
    "prepare_sample",
    "recognizer_images",
    "shared_cache",
    "split_of_group",
    "token_rows",
    "trained_findings",
    "trained_locations",
    "write_soft_labels",
]
