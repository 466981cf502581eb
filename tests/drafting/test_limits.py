"""Limits of a study: the time of one study is never charged to another, and no text is cut at the limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from report_gen.config.model import MAX_STEPS
from report_gen.drafting import Drafter, StudyLimits, image_fitting, limits
from report_gen.errors import ScopeError, StudyError, StudyTimeoutError
from report_gen.generation import Decoding
from report_gen.imaging import load_image, read_study
from report_gen.records import Image, Report, Study
from tests.builders import noise_image, replace_output, study, tiny_checkpoint, tiny_config, write_png

METHODS = [Decoding(max_tokens=12), Decoding(max_tokens=12, method="beam", beams=2, candidates=3)]


class Clock:
    """A clock that stands still unless a test advances it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "monotonic", clock)
    return clock


def outcomes(
    drafter: Drafter, studies: list[Study], seconds: float | None, decoding: Decoding = METHODS[0]
) -> list[str]:
    """The text of each draft, or the error of its study."""
    results = drafter.draft_all(studies, decoding=decoding, limits=StudyLimits(seconds=seconds))
    return [
        " ".join(section.text for section in result.sections) if isinstance(result, Report) else str(result)
        for result in results
    ]


def slow_images(monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: Callable[[Image], float]) -> None:
    """Let the clock advance whenever an image is decoded."""

    def load(image: Image, *arguments: Any) -> Any:
        clock.now += seconds(image)
        return load_image(image, *arguments)

    monkeypatch.setattr(image_fitting, "load_image", load)


def slow_steps(monkeypatch: pytest.MonkeyPatch, clock: Clock, drafter: Drafter, seconds: float) -> None:
    """Let the clock advance by some seconds per row whenever the decoder computes a token.

    This must be called before the first draft, because a drafter keeps its decoder from then on.
    """
    model = drafter.generator._model
    forward = model.decoder.language_model.get_output_embeddings().forward

    def advance(hidden: torch.Tensor) -> torch.Tensor:
        clock.now += seconds * len(hidden)
        return cast("torch.Tensor", forward(hidden))

    replace_output(model, monkeypatch, advance)


def test_a_study_that_loads_slowly_is_refused_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    drafter, studies = Drafter.from_checkpoint(tiny_checkpoint()), [study(tmp_path, seed) for seed in range(3)]
    expected, slow = outcomes(drafter, studies, None), studies[1].images[0].path
    slow_images(monkeypatch, clock, lambda image: 31.0 if image.path == slow else 1.0)
    expected[1] = f"{slow}: took longer than 30 seconds; allow more with limits=StudyLimits(seconds=...)"
    assert outcomes(drafter, studies, 30) == expected
    assert outcomes(drafter, studies, 31)[1] != expected[1]


def test_the_time_is_compared_between_the_images_of_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    for number in range(2):
        write_png(tmp_path / "study" / f"{number}.png", noise_image(number))
    slow_images(monkeypatch, clock, lambda _: 9.0)
    (error,) = outcomes(Drafter.from_checkpoint(tiny_checkpoint()), [read_study(tmp_path / "study")], 5)
    assert error.startswith(f"{tmp_path / 'study'}: took longer than 5 seconds")
    assert clock.now == 9.0  # the second image is not decoded


def test_the_time_is_compared_between_the_preprocessing_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def slow(pixels: Any, _: object) -> Any:
        clock.now += 2.0
        return pixels

    monkeypatch.setattr("report_gen.imaging.preprocessing._equalize", slow)
    drafter = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(preprocessing=[{"name": "clahe"}] * MAX_STEPS)))
    (error,) = outcomes(drafter, [study(tmp_path)], 5)
    assert "took longer than 5 seconds" in error
    assert clock.now == 6.0  # not the 24 seconds of all steps


@pytest.mark.parametrize("decoding", METHODS, ids=lambda decoding: decoding.method)
def test_a_batch_that_takes_too_long_is_drafted_study_by_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, decoding: Decoding
) -> None:
    """Four studies together take four times as long as each of them alone."""
    drafter, studies = Drafter.from_checkpoint(tiny_checkpoint()), [study(tmp_path, seed) for seed in range(4)]
    slow_steps(monkeypatch, clock, drafter, 1.0)
    expected = outcomes(drafter, studies, None, decoding)
    alone = 0.0
    for found in studies:
        before = clock.now
        drafter.draft(found, decoding=decoding)
        alone = max(alone, clock.now - before)
    assert len(set(expected)) == 4
    assert outcomes(drafter, studies, alone, decoding) == expected
    refused = outcomes(drafter, studies, 2, decoding)
    assert [error.partition(": ")[0] for error in refused] == [str(found.images[0].path) for found in studies]
    assert all("took longer than 2 seconds" in error for error in refused)


def test_the_time_for_loading_is_part_of_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    drafter, studies = Drafter.from_checkpoint(tiny_checkpoint()), [study(tmp_path, seed) for seed in range(2)]
    slow_steps(monkeypatch, clock, drafter, 1.0)
    expected, slow = outcomes(drafter, studies, None), studies[0].images[0].path
    slow_images(monkeypatch, clock, lambda image: 25.0 if image.path == slow else 1.0)
    first, second = outcomes(drafter, studies, 30)
    assert first.startswith(f"{slow}: took longer than 30 seconds")
    assert second == expected[1]


def test_a_timeout_is_a_study_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    slow_images(monkeypatch, clock, lambda _: 2.0)
    results = Drafter.from_checkpoint(tiny_checkpoint()).draft_all([study(tmp_path)], limits=StudyLimits(seconds=1))
    (error,) = results
    assert isinstance(error, StudyTimeoutError)
    assert (isinstance(error, StudyError), error.exit_code) == (True, 3)


@pytest.mark.parametrize(
    ("images", "max_views", "refused"), [(3, 2, True), (2, 2, False), (17, None, True), (17, 17, False)]
)
def test_the_number_of_views_is_limited(tmp_path: Path, images: int, max_views: int | None, refused: bool) -> None:

    for number in range(images):
        write_png(tmp_path / "study" / f"{number}.png", noise_image(number))
    found = read_study(tmp_path / "study", as_study=True)
    drafter = Drafter.from_checkpoint(tiny_checkpoint())
    (result,) = drafter.draft_all([found], decoding=METHODS[0], limits=StudyLimits(max_views=max_views))
    assert isinstance(result, ScopeError) is refused
    if refused:
        assert f"{images} images in one study, and the limit is {max_views or 16}; give fewer" in str(result)
