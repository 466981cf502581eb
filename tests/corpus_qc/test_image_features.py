"""Looking at files: copies that were saved anew, other pictures, and what is no picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from report_gen.corpus_qc.image_features import ImageFeatures, ImageState, are_similar, examine_image, image_workers


def blobs(seed: int) -> PIL.Image.Image:
    """A picture of soft blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12)).astype(np.uint8)
    return PIL.Image.fromarray(coarse).resize((300, 240), PIL.Image.Resampling.BICUBIC)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    blobs(0).save(tmp_path / "film.png")
    return tmp_path / "film.png"


def alike(one: ImageFeatures, other: ImageFeatures) -> bool:
    assert one.perceptual_hash is not None
    assert other.perceptual_hash is not None
    return bool(are_similar(one.perceptual_hash[None], other.perceptual_hash[None])[0])


def test_a_picture_saved_anew_smaller_or_brighter_looks_alike(film: Path) -> None:
    original = examine_image(str(film))
    picture = PIL.Image.open(film)
    copies = {
        "jpeg.jpg": picture,
        "small.png": picture.resize((150, 120)),
        "bright.png": picture.point(lambda value: min(value + 20, 255)),
    }
    for name, copy in copies.items():
        copy.save(film.with_name(name))
        seen = examine_image(str(film.with_name(name)))
        assert alike(original, seen)
        assert seen.content != original.content


def test_the_same_bytes_under_another_name_and_another_picture(film: Path) -> None:
    (film.parent / "copy.png").write_bytes(film.read_bytes())
    blobs(1).save(film.parent / "other.png")
    original, copy, other = (examine_image(str(film.with_name(name))) for name in ("film.png", "copy.png", "other.png"))
    assert copy.content == original.content != other.content
    assert not alike(original, other)


def test_what_is_kept_of_a_picture(film: Path) -> None:
    seen = examine_image(str(film))
    assert (seen.state, seen.fault, seen.size) == (ImageState.SOUND, "", (240, 300))
    assert seen.thumbnail is not None
    assert seen.thumbnail.shape == (102, 128)


@pytest.mark.parametrize(
    ("data", "state", "fault"),
    [
        (None, ImageState.MISSING, "missing"),
        (b"", ImageState.UNREADABLE, "broken or truncated"),
        (b"Dear colleague,", ImageState.UNREADABLE, "broken or truncated"),
        ("half", ImageState.UNREADABLE, "broken or truncated"),
    ],
)
def test_what_cannot_be_read_is_told_by_name(
    film: Path, data: bytes | str | None, state: ImageState, fault: str
) -> None:
    whole = film.read_bytes()
    film.unlink()
    if data is not None:
        film.write_bytes(whole[: len(whole) // 2] if isinstance(data, str) else data)
    seen = examine_image(str(film))
    assert seen.state is state
    assert seen.fault.startswith(f"{film}: ")
    assert fault in seen.fault
    assert seen.perceptual_hash is None


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    assert examine_image(str(tmp_path)).state is ImageState.MISSING


def test_a_flat_picture_is_blank(tmp_path: Path) -> None:
    PIL.Image.new("L", (64, 64), 90).save(tmp_path / "flat.png")
    assert examine_image(str(tmp_path / "flat.png")).state is ImageState.BLANK


def test_images_are_examined_in_their_order(film: Path) -> None:
    with image_workers() as workers:
        states = [seen.state for seen in workers([str(film), "absent", str(film)] * 20)]
    assert states == [ImageState.SOUND, ImageState.MISSING, ImageState.SOUND] * 20
