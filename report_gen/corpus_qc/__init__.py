"""Quality control of corpora: check, split by patient, convert to a manifest, clean texts.

Names are loaded at their first use: only `check_corpus` needs SciPy, datasketch and imagehash.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.corpus_qc.check import check_corpus
    from report_gen.corpus_qc.clean import Marks, clean_rows
    from report_gen.corpus_qc.example_images import ExampleImages
    from report_gen.corpus_qc.export import write_html, write_json
    from report_gen.corpus_qc.results import CorpusCheck, Problem
    from report_gen.corpus_qc.rows import Row, leave_out_missing, new_manifest_path, rows_of, write_manifest
    from report_gen.corpus_qc.split import Split, split_corpus, split_rows
    from report_gen.corpus_qc.table import render_check
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "check": ("check_corpus",),
            "clean": ("Marks", "clean_rows"),
            "example_images": ("ExampleImages",),
            "export": ("write_html", "write_json"),
            "results": ("CorpusCheck", "Problem"),
            "rows": ("Row", "leave_out_missing", "new_manifest_path", "rows_of", "write_manifest"),
            "split": ("Split", "split_corpus", "split_rows"),
            "table": ("render_check",),
        },
    )

__all__ = [
    "CorpusCheck",
    "ExampleImages",
    "Marks",
    "Problem",
    "Row",
    "Split",
    "check_corpus",
    "clean_rows",
    "leave_out_missing",
    "new_manifest_path",
    "render_check",
    "rows_of",
    "split_corpus",
    "split_rows",
    "write_html",
    "write_json",
    "write_manifest",
]
