"""Each image is decoded once; killed runs, damaged shards, moved and changed files are handled."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
import torch
from report_gen_training.data import image_cache, shards
from report_gen_training.data import image_decoding as decoding
from report_gen_training.data.image_cache import ImageCache, cache_images
from report_gen_training.data.image_decoding import UnreadableImage
from report_gen_training.run.events import ignore_progress

from report_gen.errors import OutputError
from report_gen.imaging import load_image, load_pixels, read_study
from report_gen.imaging.transform import ImageTransform
from tests.builders import SIZE, noise_image, write_png
from tests.image_steps import step

TRANSFORM = ImageTransform(size=SIZE, channels=3, mean=0.25, std=0.5)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images whose pixels were read, as it grows."""
    names: list[str] = []

    def read(image: Any, gdcm: Any) -> Any:
        names.append(image.path.name)
        return load_image(image, gdcm)

    monkeypatch.setattr(decoding, "load_image", read)
    return names


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [write_png(tmp_path / "images" / f"{seed}.png", noise_image(seed, 48)) for seed in range(5)]


def fill(folder: Path, images: list[Path]) -> tuple[ImageCache, tuple[UnreadableImage, ...]]:
    return cache_images(folder / "cache", map(str, images), TRANSFORM, on_progress=ignore_progress)


def square(path: Path) -> Any:
    """Fit an image as drafting does, and round it."""
    (image,) = read_study(path).images
    return (TRANSFORM.fit(load_pixels(image))[0] * 255).round().to(torch.uint8).numpy()


def test_cached_images_equal_those_of_drafting_up_to_rounding(tmp_path: Path, images: list[Path]) -> None:
    cache, unreadable = fill(tmp_path, images)
    assert unreadable == ()
    for image in images:
        np.testing.assert_array_equal(cache.read(image), square(image))
        drafted = TRANSFORM.fit(load_pixels(read_study(image).images[0]))[0].numpy()
        assert np.abs(cache.read(image) / 255 - drafted).max() <= 0.5 / 255 + 1e-6
        assert cache.sha256(image) == hashlib.sha256(image.read_bytes()).hexdigest()


def test_nothing_is_decoded_twice(tmp_path: Path, images: list[Path], decoded: list[str]) -> None:
    fill(tmp_path, images[:3])
    fill(tmp_path, images)
    fill(tmp_path, images * 2)
    assert decoded == [image.name for image in images]


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, images)
    monkeypatch.setattr(image_cache, "decode", lambda *_, **__: pytest.fail("the file was read again"))
    fill(tmp_path, images)


def test_a_moved_or_touched_file_is_recognized_by_its_content(
    tmp_path: Path, images: list[Path], decoded: list[str]
) -> None:
    fill(tmp_path, images)
    moved = images[0].rename(tmp_path / "images" / "moved.png")
    os.utime(images[1])
    cache, _ = fill(tmp_path, [moved, *images[1:]])
    assert len(decoded) == 5
    np.testing.assert_array_equal(cache.read(moved), square(moved))


def test_a_changed_file_is_decoded_again(tmp_path: Path, images: list[Path]) -> None:
    fill(tmp_path, images)
    write_png(images[0], noise_image(99, 48))
    cache, _ = fill(tmp_path, images)
    np.testing.assert_array_equal(cache.read(images[0]), square(images[0]))


def test_a_deleted_file_is_still_in_the_cache(tmp_path: Path, images: list[Path]) -> None:
    """A resumed run needs only its cache."""
    expected = square(images[0])
    fill(tmp_path, images)
    images[0].unlink()
    cache, unreadable = fill(tmp_path, images)
    assert unreadable == ()
    np.testing.assert_array_equal(cache.read(images[0]), expected)


def test_another_size_is_cached_separately(tmp_path: Path, images: list[Path]) -> None:
    fill(tmp_path, images)
    other = ImageTransform(size=16, channels=1, mean=0.5, std=0.5)
    cache, _ = cache_images(tmp_path / "cache", map(str, images), other, on_progress=ignore_progress)
    assert cache.read(images[0]).shape == (16, 16)


def test_other_preprocessing_steps_are_cached_separately(tmp_path: Path, images: list[Path]) -> None:
    """With steps, with other parameters, in another order: never the square of another chain."""
    one, other, changed = step("median"), step("percentiles", lower=5), step("percentiles", lower=10)
    for steps in ((), (one,), (one, other), (other, one), (one, changed), (one,)):
        transform = replace(TRANSFORM, steps=steps)
        cache, _ = cache_images(tmp_path / "cache", map(str, images), transform, on_progress=ignore_progress)
        expected, _ = transform.fit(load_pixels(read_study(images[0]).images[0]))
        np.testing.assert_array_equal(cache.read(images[0]), (expected * 255).round().byte().numpy())
    assert len(list((tmp_path / "cache").glob("images-*"))) == 5


def test_another_version_of_the_reading_code_decodes_again(
    tmp_path: Path, images: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, images)
    monkeypatch.setattr(image_cache, "VERSION", 99)
    fill(tmp_path, images)
    assert len(decoded) == 10


def test_unreadable_images_are_reported_and_the_others_kept(tmp_path: Path, images: list[Path]) -> None:
    images[1].write_bytes(images[1].read_bytes()[:60])
    images[3].write_text("no image")
    images.append(tmp_path / "missing.png")
    cache, unreadable = fill(tmp_path, images)
    assert [Path(image.path).name for image in unreadable] == ["1.png", "3.png", "missing.png"]
    assert all("broken" in image.reason for image in unreadable[:2])
    assert "No such file" in unreadable[2].reason
    np.testing.assert_array_equal(cache.read(images[4]), square(images[4]))


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_damaged_shard_is_decoded_again(tmp_path: Path, images: list[Path], left: int) -> None:
    fill(tmp_path, images)
    shards._open.cache_clear()
    for file in (tmp_path / "cache").glob("*/*.arrow"):
        whole = file.read_bytes()
        file.unlink()  # write a new file: a mapped one must not shrink
        file.write_bytes(whole[: len(whole) * left // 101])
    cache, unreadable = fill(tmp_path, images)
    assert unreadable == ()
    for image in images:
        np.testing.assert_array_equal(cache.read(image), square(image))
    shards._open.cache_clear()
    files = list((tmp_path / "cache").glob("*/*.arrow"))
    assert len(files) == 2  # the damaged ones are gone
    assert all(pa.ipc.open_file(file).num_record_batches == 1 for file in files)


def test_files_of_another_program_in_the_cache_are_left_alone(tmp_path: Path, images: list[Path]) -> None:
    fill(tmp_path, images)
    folder = next((tmp_path / "cache").glob("images*"))
    others = [folder / "notes.arrow", folder / "0123.arrow", folder / "0123456789abcdef.txt"]
    for other in others:
        other.write_text("x")
    with pa.ipc.new_file(folder / "0123456789abcdef.arrow", pa.schema([("a", pa.int8())])) as writer:
        writer.write_batch(pa.record_batch({"a": pa.array([1], pa.int8())}))  # our name, but another table
    cache, _ = fill(tmp_path, images)
    np.testing.assert_array_equal(cache.read(images[0]), square(images[0]))
    assert all(other.read_text() == "x" for other in others)


def test_a_removed_cache_is_reported(tmp_path: Path, images: list[Path]) -> None:
    cache, _ = fill(tmp_path, images)
    shards._open.cache_clear()
    for file in (tmp_path / "cache").glob("images*/*.arrow"):
        file.unlink()
    with pytest.raises(OutputError, match=r"arrow: the cache cannot be read; keep it in place"):
        cache.read(images[0])


def test_a_full_disk_keeps_what_was_decoded(
    tmp_path: Path, images: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "shard_rows", lambda _: 2)
    written = shards.write_atomically

    def write(path: Path, data: bytes) -> None:
        if len(list(path.parent.glob("*.arrow"))) == 1:
            raise OutputError(f"{path}: cannot be written ({os.strerror(errno.ENOSPC)}); free the disk")
        written(path, data)

    monkeypatch.setattr(shards, "write_atomically", write)
    with pytest.raises(OutputError, match="No space left on device"):
        fill(tmp_path, images)
    monkeypatch.setattr(shards, "write_atomically", written)
    decoded.clear()
    fill(tmp_path, images)
    assert decoded == ["2.png", "3.png", "4.png"]


def test_progress_is_reported_per_image(tmp_path: Path, images: list[Path]) -> None:
    reports: list[tuple[str, int, int]] = []
    cache_images(tmp_path, map(str, images), TRANSFORM, on_progress=lambda *now: reports.append(now))
    assert reports == [("images", done, 5) for done in range(1, 6)]


SLOWLY = """
import sys
import time
from functools import partial
from pathlib import Path
from report_gen.imaging.transform import ImageTransform
from report_gen_training.data import image_cache

image_cache.shard_rows = lambda _: 4
transform = ImageTransform(size=32, channels=3, mean=0.25, std=0.5)
images = sorted(Path(sys.argv[1]).glob("*.png"))
image_cache.cache_images(Path(sys.argv[2]), map(str, images), transform, on_progress=lambda *_: time.sleep(0.05))
"""


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    return [write_png(tmp_path / "many" / f"{seed:03}.png", noise_image(seed, 48)) for seed in range(60)]


def test_a_killed_run_loses_at_most_one_shard(tmp_path: Path, many: list[Path], decoded: list[str]) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(many[0].parent), str(tmp_path / "cache")])
    folder = tmp_path / "cache" / f"images-32-{decoding.VERSION}"
    while len(list(folder.glob("*.arrow"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = 4 * len(list(folder.glob("*.arrow")))
    cache, unreadable = fill(tmp_path, many)
    assert unreadable == ()
    assert 12 <= kept < 60
    assert len(decoded) == 60 - kept
    np.testing.assert_array_equal(cache.read(many[7]), square(many[7]))


def test_two_runs_may_fill_one_cache_at_the_same_time(
    tmp_path: Path, many: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "shard_rows", lambda _: 2)
    with ThreadPoolExecutor(2) as runs:
        caches = [found.result()[0] for found in [runs.submit(fill, tmp_path, images) for images in (many, many[::-1])]]
    decoded.clear()
    caches.append(fill(tmp_path, many)[0])
    assert decoded == []
    for cache in caches:
        for image in many[::20]:
            np.testing.assert_array_equal(cache.read(image), square(image))


def test_much_work_is_done_on_all_cores(tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    def share(work: Any, paths: list[str], processes: int) -> Any:
        calls.append((len(paths), processes))
        return map(work, paths)

    monkeypatch.setattr(image_cache, "map_in_processes", share)
    monkeypatch.setattr(image_cache, "available_cores", lambda: 3)
    monkeypatch.setattr(image_cache, "_TRIAL_SECONDS", 1e-9)
    monkeypatch.setattr(image_cache, "_MIN_PARALLEL_SECONDS", 0.0)
    cache, _ = fill(tmp_path, images)
    assert calls == [(5, 3)]
    np.testing.assert_array_equal(cache.read(images[4]), square(images[4]))


def test_the_work_can_be_pickled(tmp_path: Path, images: list[Path]) -> None:
    """Worker processes get the decoding function with the lookup of stored images."""
    fill(tmp_path, images[:1])
    stored = partial(image_cache._stored_keys, tmp_path / "cache" / f"images-32-{decoding.VERSION}", "run")
    pickled = pickle.dumps(partial(decoding.decode, transform=TRANSFORM, stored=stored))
    work = pickle.loads(pickled)  # noqa: S301 - our own
    assert work(str(images[0])).payload is None
    pixels, _ = decoding.unpack_square(np.frombuffer(work(str(images[1])).payload, np.uint8), (SIZE, SIZE))
    np.testing.assert_array_equal(pixels, square(images[1]))


def test_old_temporary_files_are_removed(tmp_path: Path, images: list[Path]) -> None:
    folder = tmp_path / "cache" / "files"
    folder.mkdir(parents=True)
    old, new = folder / ".a.tmp", folder / ".b.tmp"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    fill(tmp_path, images)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_color_image_is_cached_in_gray(tmp_path: Path) -> None:
    image = tmp_path / "images" / "color.jpg"
    image.parent.mkdir()
    PIL.Image.fromarray(np.full((40, 40, 3), (200, 100, 50), dtype=np.uint8)).save(image)
    cache, _ = fill(tmp_path, [image])
    np.testing.assert_array_equal(cache.read(image), square(image))
