"""Features of image files: edited copies, other images, and files that are not images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from report_gen.corpus_qc.image_features import ImageFeatures, ImageState, are_similar, examine_image, image_workers


def blobs(seed: int) -> PIL.Image.Image:
    """Return an image of soft blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12)).astype(np.uint8)
    return PIL.Image.fromarray(coarse).resize((300, 240), PIL.Image.Resampling.BICUBIC)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    blobs(0).save(tmp_path / "original.png")
    return tmp_path / "original.png"


def similar(one: ImageFeatures, other: ImageFeatures) -> bool:
    assert one.perceptual_hash is not None
    assert other.perceptual_hash is not None
    return bool(are_similar(one.perceptual_hash[None], other.perceptual_hash[None])[0])


def test_edited_copies_are_similar(original: Path) -> None:
    features = examine_image(str(original))
    image = PIL.Image.open(original)
    copies = {
        "jpeg.jpg": image,
        "small.png": image.resize((150, 120)),
        "bright.png": image.point(lambda value: min(value + 20, 255)),
    }
    for name, copy in copies.items():
        copy.save(original.with_name(name))
        found = examine_image(str(original.with_name(name)))
        assert similar(features, found)
        assert found.content != features.content


def test_identical_bytes_and_another_image(original: Path) -> None:
    (original.parent / "copy.png").write_bytes(original.read_bytes())
    blobs(1).save(original.parent / "other.png")
    names = ("original.png", "copy.png", "other.png")
    features, copy, other = (examine_image(str(original.with_name(name))) for name in names)
    assert copy.content == features.content != other.content
    assert not similar(features, other)


def test_state_size_and_thumbnail(original: Path) -> None:
    features = examine_image(str(original))
    assert (features.state, features.error, features.size) == (ImageState.SOUND, "", (240, 300))
    assert features.thumbnail is not None
    assert features.thumbnail.shape == (102, 128)


@pytest.mark.parametrize(
    ("data", "state", "error"),
    [
        (None, ImageState.MISSING, "missing"),
        (b"", ImageState.UNREADABLE, "broken or truncated"),
        (b"Dear colleague,", ImageState.UNREADABLE, "broken or truncated"),
        ("half", ImageState.UNREADABLE, "broken or truncated"),
    ],
)
def test_a_file_that_cannot_be_read_has_an_error_with_its_name(
    original: Path, data: bytes | str | None, state: ImageState, error: str
) -> None:
    content = original.read_bytes()
    original.unlink()
    if data is not None:
        original.write_bytes(content[: len(content) // 2] if isinstance(data, str) else data)
    features = examine_image(str(original))
    assert features.state is state
    assert features.error.startswith(f"{original}: ")
    assert error in features.error
    assert features.perceptual_hash is None


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    assert examine_image(str(tmp_path)).state is ImageState.MISSING


def test_a_uniform_image_is_blank(tmp_path: Path) -> None:
    PIL.Image.new("L", (64, 64), 90).save(tmp_path / "uniform.png")
    assert examine_image(str(tmp_path / "uniform.png")).state is ImageState.BLANK


def test_workers_keep_the_order_of_the_files(original: Path) -> None:
    with image_workers() as workers:
        states = [features.state for features in workers([str(original), "absent", str(original)] * 20)]
    assert states == [ImageState.SOUND, ImageState.MISSING, ImageState.SOUND] * 20
