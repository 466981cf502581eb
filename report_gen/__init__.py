"""report-gen drafts radiology reports from medical images. Every output is a draft for a qualified reader.

The names below are the public API. Each is loaded at its first use, so that `import report_gen` loads neither PyTorch
nor NumPy.

>>> from report_gen import Drafter, read_study
>>> report = Drafter.load().draft(read_study("chest.dcm"))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.corpora import read_corpus
    from report_gen.drafting import Drafter
    from report_gen.imaging import load_pixels, read_studies, read_study
    from report_gen.labeling import label_findings
    from report_gen.metrics import score_reports
    from report_gen.model import load_checkpoint
    from report_gen.reading import read_report
    from report_gen.records import Report, Study

    __version__: str

__all__ = [
    "Drafter",
    "Report",
    "Study",
    "__version__",
    "label_findings",
    "load_checkpoint",
    "load_pixels",
    "read_corpus",
    "read_report",
    "read_studies",
    "read_study",
    "score_reports",
]

_load = lazy_exports(
    __name__,
    {
        "corpora": ("read_corpus",),
        "drafting.drafter": ("Drafter",),
        "imaging.loading": ("load_pixels",),
        "imaging.reading": ("read_studies", "read_study"),
        "labeling.labeler": ("label_findings",),
        "metrics.scoring": ("score_reports",),
        "model": ("load_checkpoint",),
        "reading.report_files": ("read_report",),
        "records.report": ("Report",),
        "records.study": ("Study",),
    },
)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _load(name)
    from importlib.metadata import version  # takes 50 ms to import

    globals()[name] = value = version("report-gen")
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
