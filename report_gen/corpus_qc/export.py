"""Write the results of a check as JSON and as HTML."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from report_gen import __version__
from report_gen.corpus_qc.example_images import ExampleImages
from report_gen.corpus_qc.page import render_page
from report_gen.corpus_qc.results import CorpusCheck
from report_gen.files import write_atomically


def write_json(check: CorpusCheck, path: Path) -> None:
    """Write all results as JSON. The file quotes no report.

    Raises:
        OutputError: The file cannot be written.
    """
    document = {"version": __version__, **asdict(check), "serious": check.serious}
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_html(check: CorpusCheck, example_images: ExampleImages, path: Path) -> None:
    """Write the results and the examples as one HTML page. The page quotes reports and shows images.

    Raises:
        OutputError: The file cannot be written.
    """
    write_atomically(path, render_page(check, example_images))
