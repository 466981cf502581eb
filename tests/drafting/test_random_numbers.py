"""The random numbers of a draft follow from the pixels and the seed, not from names, UIDs and encodings of files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from pydicom.uid import generate_uid

from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.checkpoint_generator import _study_generator
from report_gen.drafting.image_fitting import digest_pixels
from report_gen.drafting.prepared_study import LoadedStudy
from report_gen.drafting.preprocessing import StudyPreprocessor
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.model import Checkpoint
from report_gen.records import Study
from tests.builders import PROMPT, THRESHOLDS, noise_image, tiny_config, tiny_model, tokenizer, write_png
from tests.dicom_files import write_dicom

SAMPLED = Decoding(method="sample", max_tokens=12, candidates=1)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return Checkpoint(tiny_model(tiny_config(findings={"present": THRESHOLDS})), tokenizer(), PROMPT, "ab" * 32)


def draft(checkpoint: Checkpoint, found: Study, **options: Any) -> list[str]:
    report = Drafter.from_checkpoint(checkpoint, device="cpu").draft(found, decoding=SAMPLED, **options)
    return [section.text for section in report.sections]


def load(checkpoint: Checkpoint, found: Study) -> LoadedStudy:
    loaded = StudyPreprocessor(checkpoint).load(DraftRequest(found))
    assert isinstance(loaded, LoadedStudy)
    return loaded


def seed_of(checkpoint: Checkpoint, found: Study, seed: int = 0) -> int:
    return _study_generator(load(checkpoint, found), Decoding(seed=seed)).initial_seed()


def test_the_digest_is_that_of_the_pixels_in_8_bits() -> None:
    squares = torch.tensor([[[0.0, 1.0], [0.5, 0.25]], [[0.0, 0.0], [0.0, 0.0]]])
    expected = [hashlib.sha256(bytes(values)).hexdigest() for values in ([0, 255, 128, 64], [0, 0, 0, 0])]
    assert list(digest_pixels(squares)) == expected
    assert digest_pixels(squares + 1e-6) == digest_pixels(squares)


def test_the_same_pixels_under_other_uids_give_the_same_text(checkpoint: Checkpoint, tmp_path: Path) -> None:
    pixels = noise_image(1).astype(np.uint16)
    uids = {"SOPInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    one, other = read_study(write_dicom(tmp_path / "a.dcm", pixels)), tmp_path / "b.dcm"
    same = read_study(write_dicom(other, pixels, **uids))
    assert one.images[0].sha256 != same.images[0].sha256
    assert draft(checkpoint, one) == draft(checkpoint, same)


def test_another_encoding_of_a_picture_gives_the_same_text(checkpoint: Checkpoint, tmp_path: Path) -> None:
    one = read_study(write_png(tmp_path / "a.png", noise_image(1)))
    texts = [draft(checkpoint, one)]
    for name, options in (("b.png", {"compress_level": 0}), ("c.tiff", {}), ("d.webp", {"lossless": True})):
        PIL.Image.fromarray(noise_image(1)).save(tmp_path / name, **options)
        same = read_study(tmp_path / name)
        assert one.images[0].sha256 != same.images[0].sha256
        texts.append(draft(checkpoint, same))
    assert texts == [texts[0]] * 4
    assert draft(checkpoint, read_study(write_png(tmp_path / "other.png", noise_image(2)))) != texts[0]


def test_names_of_files_do_not_matter(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def write_pair(folder: Path, first: int, second: int) -> Study:
        write_png(folder / "1.png", noise_image(first))
        write_png(folder / "2.png", noise_image(second))
        return read_study(folder, as_study=True)

    one, renamed = write_pair(tmp_path / "one", 1, 2), write_pair(tmp_path / "renamed", 2, 1)
    alone = read_study(tmp_path / "one" / "1.png")
    seeds = [seed_of(checkpoint, found) for found in (one, renamed, alone)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert draft(checkpoint, one) == draft(checkpoint, renamed)


def test_the_seed_of_the_user_changes_the_random_numbers(checkpoint: Checkpoint, tmp_path: Path) -> None:
    found = read_study(write_png(tmp_path / "a.png", noise_image(1)))
    assert seed_of(checkpoint, found) == seed_of(checkpoint, found) != seed_of(checkpoint, found, seed=1)
