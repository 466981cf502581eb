"""Write samples.html: drafts of validation studies beside their references, for every validation."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from pathlib import Path

import PIL.Image
import pydantic
from pydantic import TypeAdapter

from report_gen.errors import StudyError, UsageError
from report_gen.files import write_atomically
from report_gen.imaging import load_pixels, read_study
from report_gen.imaging.transform import ImageTransform
from report_gen.metrics import mark_differences
from report_gen.records import BANNER
from report_gen.rendering import render_document

from ..run import Sample, Validation

PAGE, _RECORDS = "samples.html", "samples.json"
_SHOWN = 8
"""Studies shown per validation."""
_KEPT = 100
"""Validations kept on the page."""
_VIEWS = 4
_SIDE = 128
_STORED = TypeAdapter(list[Validation])
_STYLE = f"""
body {{ max-width: 75rem; }} table {{ table-layout: fixed; }} small {{ overflow-wrap: anywhere; }}
.banner {{ border: 2px solid #c00; padding: .5rem 1rem; font-weight: bold; }}
summary {{ font-size: 1.15rem; font-weight: bold; margin-top: 1.2rem; cursor: pointer; }}
.images {{ width: {2 * _SIDE + 16}px; }} .text {{ white-space: pre-line; overflow-wrap: anywhere; }}
.image {{ display: inline-block; width: {_SIDE}px; height: {_SIDE}px; margin-right: 4px; background-size: cover; }}
"""


class SamplePage:
    """The page of one run folder; a resumed run adds to the existing page."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def add(self, validation: Validation) -> None:
        """Write the page with this validation first; a validation without drafts changes nothing.

        Raises:
            UsageError: The records of earlier validations are damaged.
            OutputError: The page cannot be written.
        """
        if not validation.samples:
            return
        shown = replace(validation, samples=validation.samples[:_SHOWN])
        # A resumed run repeats the steps after its last saved state.
        earlier = [one for one in self._read() if one.stage != validation.stage or one.step < validation.step]
        kept = [shown, *earlier][:_KEPT]
        write_atomically(self._folder / _RECORDS, _STORED.dump_json(kept))
        write_atomically(self._folder / PAGE, _render(self._name, kept))

    def _read(self) -> list[Validation]:
        path = self._folder / _RECORDS
        try:
            return _STORED.validate_json(path.read_bytes()) if path.exists() else []
        except pydantic.ValidationError as error:
            raise UsageError(f"{path}: damaged; delete it to start a new page") from error


def _render(name: str, validations: Sequence[Validation]) -> str:
    paths = dict.fromkeys(path for one in validations for sample in one.samples for path in sample.images[:_VIEWS])
    thumbnails = {path: url for path in paths if (url := _thumbnail(path))}
    # Each image is stored once, in the style sheet, however many drafts show it.
    classes = {path: f"image-{number}" for number, path in enumerate(thumbnails)}
    rules = "".join(f'.{classes[path]}{{background-image:url("{url}")}}\n' for path, url in thumbnails.items())
    body = [
        f"<h1>Sample drafts of {escape(name)}</h1>",
        f'<p class="banner">{BANNER}. Written by a model in training.</p>',
        "<p>This page contains patient data (texts and images): keep it as safe as the corpus. The newest validation "
        "comes first; <mark>marked</mark> words are missing on the other side.</p>",
        *(_section(one, classes, first=index == 0) for index, one in enumerate(validations)),
    ]
    return render_document(f"Sample drafts of {name}", body, style=_STYLE + rules)


def _section(validation: Validation, classes: Mapping[Path, str], *, first: bool) -> str:
    rows = "\n".join(_row(sample, classes) for sample in validation.samples)
    heading, warning = f"{escape(validation.stage)}, step {validation.step}", ""
    if validation.collapsed:
        heading += ' <span class="fails">collapse</span>'
        warning = '<p class="fails">Collapse: the drafts are the same few texts whatever the images show.</p>'
    return (
        f"<details{' open' if first else ''}><summary>{heading}</summary>{warning}"
        f"<p>{'; '.join(_figures(validation))}</p>"
        f'<table><tr><th class="images">images</th><th>draft, not reviewed</th><th>reference</th></tr>\n{rows}'
        "</table></details>"
    )


def _figures(validation: Validation) -> Iterator[str]:
    if validation.chosen:
        yield "<b>best so far</b>"
    if validation.loss is not None:
        yield f"validation loss {validation.loss:.3f}"
    yield from (f"{escape(name)} {score:.3f}" for name, score in validation.scores.items())
    if validation.distinct is not None:
        yield f"{validation.distinct:.0%} as many distinct drafts as distinct references"


def _row(sample: Sample, classes: Mapping[Path, str]) -> str:
    draft, reference = mark_differences(sample.draft, sample.reference)
    images = "".join(
        f'<span class="image {classes[path]}" role="img" aria-label="image {number}"></span>'
        for number, path in enumerate(sample.images[:_VIEWS], start=1)
        if path in classes
    )
    cells = f'<td class="text">{draft or "(empty)"}</td><td class="text">{reference}</td>'
    return f"<tr><td>{images}<br><small>{escape(sample.study_id)}</small></td>{cells}</tr>"


@lru_cache(maxsize=256)
def _thumbnail(path: Path) -> str:
    """Return a data URL; empty if the image is no longer readable: a missing thumbnail must not end a run."""
    try:
        (image,) = read_study(path).images
        square, _ = ImageTransform(size=_SIDE, channels=1, mean=0, std=1).fit(load_pixels(image))
    except StudyError:
        return ""
    buffer = io.BytesIO()
    PIL.Image.fromarray((square * 255).round().byte().numpy()).save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
