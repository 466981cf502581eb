"""Quality control of corpora: check, split by patient, convert to a manifest, clean texts."""

from report_gen.corpus_qc.check import check_corpus
from report_gen.corpus_qc.clean import Marks, clean_rows
from report_gen.corpus_qc.example_images import ExampleImages
from report_gen.corpus_qc.export import write_html, write_json
from report_gen.corpus_qc.results import CorpusCheck, Problem
from report_gen.corpus_qc.rows import Row, new_manifest_path, rows_of, write_manifest
from report_gen.corpus_qc.split import Split, split_corpus, split_rows
from report_gen.corpus_qc.table import render_check

__all__ = [
    "CorpusCheck",
    "ExampleImages",
    "Marks",
    "Problem",
    "Row",
    "Split",
    "check_corpus",
    "clean_rows",
    "new_manifest_path",
    "render_check",
    "rows_of",
    "split_corpus",
    "split_rows",
    "write_html",
    "write_json",
    "write_manifest",
]
