"""Learning what is wrong with a corpus, and mending it: checking, splitting, converting, cleaning."""

from report_gen.curating.checking import check_corpus
from report_gen.curating.cleaning import Marks, clean_rows
from report_gen.curating.corpus_check import CorpusCheck, Problem
from report_gen.curating.exhibits import Exhibits
from report_gen.curating.rows import manifest_place, rows_of, write_manifest
from report_gen.curating.splitting import Split, split_corpus, split_rows
from report_gen.curating.table import render_check
from report_gen.curating.writing import write_html, write_json

__all__ = [
    "CorpusCheck",
    "Exhibits",
    "Marks",
    "Problem",
    "Split",
    "check_corpus",
    "clean_rows",
    "manifest_place",
    "render_check",
    "rows_of",
    "split_corpus",
    "split_rows",
    "write_html",
    "write_json",
    "write_manifest",
]
