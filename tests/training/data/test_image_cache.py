"""Each image is decoded once, whoever asks; what is killed, damaged, moved or altered is made good."""

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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from report_gen_training.data import image_cache, shards
from report_gen_training.data import image_decoding as decoding
from report_gen_training.data.image_cache import ImageCache, cache_images
from report_gen_training.data.image_decoding import Fault
from report_gen_training.run.reporting import unheard

from report_gen.errors import OutputError
from report_gen.imaging.reading import load_pixels, read_study
from report_gen.imaging.transform import ImageTransform
from tests.builders import SIZE, picture, write_png

TRANSFORM = ImageTransform(size=SIZE, channels=3, mean=0.25, std=0.5)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images whose pixels were asked for, as they are."""
    asked: list[str] = []

    def read(image: Any) -> Any:
        asked.append(image.path.name)
        return load_pixels(image)

    monkeypatch.setattr(decoding, "load_pixels", read)
    return asked


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    return [write_png(tmp_path / "films" / f"{seed}.png", picture(seed, 48)) for seed in range(5)]


def fill(folder: Path, films: list[Path]) -> tuple[ImageCache, tuple[Fault, ...]]:
    return cache_images(folder / "cache", map(str, films), TRANSFORM, on_progress=unheard)


def square(film: Path) -> Any:
    """As drafting fits an image, rounded."""
    (image,) = read_study(film).images
    return (TRANSFORM.fit(load_pixels(image))[0] * 255).round().to(torch.uint8).numpy()


def test_squares_are_what_drafting_sees_to_half_a_step(tmp_path: Path, films: list[Path]) -> None:
    cache, faults = fill(tmp_path, films)
    assert faults == ()
    for film in films:
        np.testing.assert_array_equal(cache.read(film), square(film))
        drafted = TRANSFORM.fit(load_pixels(read_study(film).images[0]))[0].numpy()
        assert np.abs(cache.read(film) / 255 - drafted).max() <= 0.5 / 255 + 1e-6
        assert cache.sha256(film) == hashlib.sha256(film.read_bytes()).hexdigest()


def test_nothing_is_decoded_twice(tmp_path: Path, films: list[Path], decoded: list[str]) -> None:
    fill(tmp_path, films[:3])
    fill(tmp_path, films)
    fill(tmp_path, films * 2)
    assert decoded == [film.name for film in films]


def test_an_unchanged_file_is_not_even_read(tmp_path: Path, films: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, films)
    monkeypatch.setattr(image_cache, "decode", lambda *_, **__: pytest.fail("the file was read again"))
    fill(tmp_path, films)


def test_a_moved_or_touched_file_is_known_by_its_content(tmp_path: Path, films: list[Path], decoded: list[str]) -> None:
    fill(tmp_path, films)
    moved = films[0].rename(tmp_path / "films" / "moved.png")
    os.utime(films[1])
    cache, _ = fill(tmp_path, [moved, *films[1:]])
    assert len(decoded) == 5
    np.testing.assert_array_equal(cache.read(moved), square(moved))


def test_an_altered_file_is_decoded_anew(tmp_path: Path, films: list[Path]) -> None:
    fill(tmp_path, films)
    write_png(films[0], picture(99, 48))
    cache, _ = fill(tmp_path, films)
    np.testing.assert_array_equal(cache.read(films[0]), square(films[0]))


def test_a_file_that_is_gone_is_still_to_be_had(tmp_path: Path, films: list[Path]) -> None:
    """A run that goes on needs its cache and no more."""
    expected = square(films[0])
    fill(tmp_path, films)
    films[0].unlink()
    cache, faults = fill(tmp_path, films)
    assert faults == ()
    np.testing.assert_array_equal(cache.read(films[0]), expected)


def test_another_size_is_another_square(tmp_path: Path, films: list[Path]) -> None:
    fill(tmp_path, films)
    other = ImageTransform(size=16, channels=1, mean=0.5, std=0.5)
    cache, _ = cache_images(tmp_path / "cache", map(str, films), other, on_progress=unheard)
    assert cache.read(films[0]).shape == (16, 16)


def test_another_version_of_the_reading_code_decodes_anew(
    tmp_path: Path, films: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, films)
    monkeypatch.setattr(image_cache, "VERSION", 2)
    fill(tmp_path, films)
    assert len(decoded) == 10


def test_images_that_cannot_be_read_are_told_and_the_others_kept(tmp_path: Path, films: list[Path]) -> None:
    films[1].write_bytes(films[1].read_bytes()[:60])
    films[3].write_text("no picture")
    films.append(tmp_path / "missing.png")
    cache, faults = fill(tmp_path, films)
    assert [Path(fault.path).name for fault in faults] == ["1.png", "3.png", "missing.png"]
    assert all("broken" in fault.reason for fault in faults[:2])
    assert "No such file" in faults[2].reason
    np.testing.assert_array_equal(cache.read(films[4]), square(films[4]))


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_damaged_shard_is_as_if_it_had_never_been(tmp_path: Path, films: list[Path], left: int) -> None:
    fill(tmp_path, films)
    shards._open.cache_clear()
    for file in (tmp_path / "cache").glob("*/*.arrow"):
        whole = file.read_bytes()
        file.unlink()  # a new file: what was mapped must not shrink
        file.write_bytes(whole[: len(whole) * left // 101])
    cache, faults = fill(tmp_path, films)
    assert faults == ()
    for film in films:
        np.testing.assert_array_equal(cache.read(film), square(film))


def test_a_cache_that_goes_away_is_told(tmp_path: Path, films: list[Path]) -> None:
    cache, _ = fill(tmp_path, films)
    shards._open.cache_clear()
    for file in (tmp_path / "cache").glob("images*/*.arrow"):
        file.unlink()
    with pytest.raises(OutputError, match=r"arrow: the cache cannot be read; leave it in place"):
        cache.read(films[0])


def test_a_full_disk_is_one_sentence_and_keeps_what_there_was(
    tmp_path: Path, films: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "shard_rows", lambda _: 2)
    written = shards.write_atomically

    def write(path: Path, data: bytes) -> None:
        if len(list(path.parent.glob("*.arrow"))) == 1:
            raise OutputError(f"{path}: cannot be written ({os.strerror(errno.ENOSPC)}); free the disk")
        written(path, data)

    monkeypatch.setattr(shards, "write_atomically", write)
    with pytest.raises(OutputError, match="No space left on device"):
        fill(tmp_path, films)
    monkeypatch.setattr(shards, "write_atomically", written)
    decoded.clear()
    fill(tmp_path, films)
    assert decoded == ["2.png", "3.png", "4.png"]


def test_progress_is_told_image_by_image(tmp_path: Path, films: list[Path]) -> None:
    told: list[tuple[str, int, int]] = []
    cache_images(tmp_path, map(str, films), TRANSFORM, on_progress=lambda *now: told.append(now))
    assert told == [("images", done, 5) for done in range(1, 6)]


SLOWLY = """
import sys
import time
from functools import partial
from pathlib import Path
from report_gen.imaging.transform import PixelTransform
from report_gen_training import image_cache
from report_gen_training.run.reporting import unheard

image_cache.shard_rows = lambda _: 4
transform = PixelTransform(size=32, channels=3, mean=0.25, std=0.5)
films = sorted(Path(sys.argv[1]).glob("*.png"))
image_cache.cache_images(Path(sys.argv[2]), map(str, films), transform, on_progress=lambda *_: time.sleep(0.05))
"""


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    return [write_png(tmp_path / "many" / f"{seed:03}.png", picture(seed, 48)) for seed in range(60)]


def test_a_killed_run_loses_a_shard_at_most(tmp_path: Path, many: list[Path], decoded: list[str]) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(many[0].parent), str(tmp_path / "cache")])
    folder = tmp_path / "cache" / "images-32-1"
    while len(list(folder.glob("*.arrow"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = 4 * len(list(folder.glob("*.arrow")))
    cache, faults = fill(tmp_path, many)
    assert faults == ()
    assert 12 <= kept < 60
    assert len(decoded) == 60 - kept
    np.testing.assert_array_equal(cache.read(many[7]), square(many[7]))


def test_two_runs_may_fill_one_cache_at_once(
    tmp_path: Path, many: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "shard_rows", lambda _: 2)
    with ThreadPoolExecutor(2) as runs:
        caches = [found.result()[0] for found in [runs.submit(fill, tmp_path, films) for films in (many, many[::-1])]]
    decoded.clear()
    caches.append(fill(tmp_path, many)[0])
    assert decoded == []
    for cache in caches:
        for film in many[::20]:
            np.testing.assert_array_equal(cache.read(film), square(film))


def test_where_there_is_much_to_do_all_cores_do_it(
    tmp_path: Path, films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def share(work: Any, paths: list[str], processes: int) -> Any:
        asked.append((len(paths), processes))
        return map(work, paths)

    monkeypatch.setattr(image_cache, "map_in_processes", share)
    monkeypatch.setattr(image_cache, "cores", lambda: 3)
    monkeypatch.setattr(image_cache, "_TRIAL", 1e-9)
    monkeypatch.setattr(image_cache, "_WORTH", 0.0)
    cache, _ = fill(tmp_path, films)
    assert asked == [(5, 3)]
    np.testing.assert_array_equal(cache.read(films[4]), square(films[4]))


def test_the_work_of_a_process_may_travel(tmp_path: Path, films: list[Path]) -> None:
    """What a process is sent: the reading of an image, with what tells it which squares there are."""
    fill(tmp_path, films[:1])
    kept = partial(image_cache._kept, tmp_path / "cache" / "images-32-1", "build")
    work = pickle.loads(pickle.dumps(partial(decoding.decode, transform=TRANSFORM, kept=kept)))  # noqa: S301 - our own
    assert work(str(films[0])).square is None
    assert work(str(films[1])).square == square(films[1]).tobytes()


def test_half_written_files_of_long_ago_are_swept_away(tmp_path: Path, films: list[Path]) -> None:
    folder = tmp_path / "cache" / "files"
    folder.mkdir(parents=True)
    old, new = folder / ".a.tmp", folder / ".b.tmp"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    fill(tmp_path, films)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_color_picture_is_kept_grey(tmp_path: Path) -> None:
    film = tmp_path / "films" / "color.jpg"
    film.parent.mkdir()
    PIL.Image.fromarray(np.full((40, 40, 3), (200, 100, 50), dtype=np.uint8)).save(film)
    cache, _ = fill(tmp_path, [film])
    np.testing.assert_array_equal(cache.read(film), square(film))
