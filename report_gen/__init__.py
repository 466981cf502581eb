"""report-gen drafts radiology reports from medical images. Every output is a draft for a qualified reader.

The names below are the public API. Each is loaded at its first use, so that `import report_gen` loads neither PyTorch
nor NumPy.

>>> from report_gen import Drafter, read_study
>>> report = Drafter.load().draft(read_study("chest.dcm"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from report_gen.corpora import read_corpus
    from report_gen.drafting import Drafter
    from report_gen.imaging import load_pixels, read_studies, read_study
    from report_gen.labeling import label_findings
    from report_gen.metrics import score_reports
    from report_gen.model import load_checkpoint
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
    "read_studies",
    "read_study",
    "score_reports",
]

_MODULES = {
    "Drafter": "report_gen.drafting.drafter",
    "Report": "report_gen.records.report",
    "Study": "report_gen.records.study",
    "label_findings": "report_gen.labeling.labeler",
    "load_checkpoint": "report_gen.model",
    "load_pixels": "report_gen.imaging.reading",
    "read_corpus": "report_gen.corpora",
    "read_studies": "report_gen.imaging.reading",
    "read_study": "report_gen.imaging.reading",
    "score_reports": "report_gen.metrics",
}
"""The module that defines each public name."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes 50 ms to import

        value: Any = version("report-gen")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
