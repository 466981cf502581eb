"""samples.html: drafts beside references, newest first; nothing in a report acts as markup."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from report_gen_training.monitoring.sample_page import SamplePage
from report_gen_training.run.events import Sample, Validation

from report_gen.errors import UsageError
from report_gen.records import BANNER
from tests.builders import corner_image, write_png

ATTACK = '<script>alert("ZZPHI7")</script>'


def validation(step: int, images: tuple[Path, ...] = (), **changes: object) -> Validation:
    sample = Sample(
        study_id=f"study <{step}>",
        draft="FINDINGS:\nThe heart is enlarged.",
        reference=f"FINDINGS:\nThe heart is normal. {ATTACK}",
        images=images,
    )
    values = {"stage": "decoder", "loss": 1.5, "scores": {"CIDEr-D": 0.25}, "distinct": 0.5, "collapsed": False}
    return Validation(step=step, **values | {"samples": [sample] * 12} | changes)


def test_the_newest_validation_is_first_and_open(tmp_path: Path) -> None:
    page = SamplePage(tmp_path, "tiny & co")
    page.add(validation(100, distinct=0.02, collapsed=True))
    page.add(validation(200, chosen=True))
    text = (tmp_path / "samples.html").read_text()
    assert re.findall(r"<details( open)?><summary>decoder, step (\d+)", text) == [(" open", "200"), ("", "100")]
    first, second = text.split("<details")[1:]
    assert "<b>best so far</b>; validation loss 1.500; CIDEr-D 0.250; 50% as many distinct drafts" in first
    assert "Collapse: the drafts are the same few texts" in second
    assert "Collapse" not in first
    assert first.count("study &lt;200&gt;") == 8  # of the twelve
    assert text.index(BANNER) < text.index("patient data") < text.index("<details")


def test_different_words_are_marked(tmp_path: Path) -> None:
    SamplePage(tmp_path, "tiny").add(validation(1))
    text = (tmp_path / "samples.html").read_text()
    assert '<td class="text">FINDINGS:\nThe heart is <mark>enlarged.</mark></td>' in text
    assert "The heart is <mark>normal.</mark> <mark>&lt;script&gt;alert(&quot;ZZPHI7&quot;)" in text


def test_reports_and_names_are_escaped(tmp_path: Path) -> None:
    SamplePage(tmp_path, ATTACK).add(validation(1, stage=ATTACK, scores={ATTACK: 1.0}))
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    Tags().feed((tmp_path / "samples.html").read_text())
    assert "script" not in tags
    assert "img" not in tags
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in (tmp_path / "samples.html").read_text()


def test_every_image_is_embedded_once_and_a_missing_one_left_out(tmp_path: Path) -> None:
    image = write_png(tmp_path / "image.png", corner_image(1, size=64))
    page = SamplePage(tmp_path, "tiny")
    page.add(validation(1, images=(image, tmp_path / "gone.png")))
    page.add(validation(2, images=(image,)))
    text = (tmp_path / "samples.html").read_text()
    (data,) = re.findall(r'url\("data:image/jpeg;base64,([^"]+)"\)', text)
    thumbnail = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))), dtype=float)
    assert thumbnail.shape == (128, 128)
    np.testing.assert_allclose(thumbnail[20:40, 84:110], 230, atol=6)
    np.testing.assert_allclose(thumbnail[84:110, 20:40], 20, atol=6)
    assert text.count('class="image image-0"') == 16


def test_a_resumed_run_continues_the_page(tmp_path: Path) -> None:
    SamplePage(tmp_path, "tiny").add(validation(100))
    SamplePage(tmp_path, "tiny").add(validation(200))
    SamplePage(tmp_path, "tiny").add(validation(100))  # killed before the state of 200 was written
    SamplePage(tmp_path, "tiny").add(validation(0, samples=[]))
    assert re.findall(r"step (\d+)<", (tmp_path / "samples.html").read_text()) == ["100"]
    (tmp_path / "samples.json").write_text("{")
    with pytest.raises(UsageError, match=r"samples\.json: damaged; delete it"):
        SamplePage(tmp_path, "tiny").add(replace(validation(300)))
