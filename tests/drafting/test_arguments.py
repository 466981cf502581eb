"""Arguments of the Python API: whatever cannot be meant is refused with one sentence, before anything is drafted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from report_gen.drafting import Drafter, DraftRequest, PriorStudy, StudyLimits
from report_gen.errors import UsageError
from report_gen.generation import Decoding
from report_gen.records import FindingState, Report, Study
from tests.builders import study, tiny_checkpoint

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def drafter() -> Drafter:
    return Drafter.from_checkpoint(tiny_checkpoint())


@pytest.fixture
def one(tmp_path: Path) -> Study:
    return study(tmp_path)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (StudyLimits, "max_views", [0, -1, 1.5, True, "x", NAN]),
        (StudyLimits, "seconds", [0, -1, -0.5, NAN, "x", -INF]),
        (Decoding, "seed", [-1, 2**64, 1.5, None, True, "x"]),
        (Decoding, "max_tokens", [0, -1, 1.5, None, True]),
        (Decoding, "candidates", [0, -1, 2.0, None]),
        (Decoding, "beams", [0, -1, "x"]),
        (Decoding, "temperature", [0, -1, NAN, INF, "x", None]),
        (Decoding, "top_p", [0, -1, NAN, 1.1, "x", None]),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused(kind: Callable[..., object], name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(UsageError, match=rf"^{name} is .*; give a (whole )?number"):
            kind(**{name: value})


def test_the_bounds_themselves_are_allowed() -> None:
    assert StudyLimits(max_views=1, seconds=0.1).max_views == 1
    assert Decoding(seed=2**64 - 1, top_p=1, max_tokens=1).seed == 2**64 - 1


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, None, True, "2"])
def test_a_batch_size_is_refused_at_the_call(drafter: Drafter, one: Study, batch_size: Any) -> None:
    """The iterator need not be used: an empty one would look like a batch without studies."""
    with pytest.raises(UsageError, match=r"^batch_size is .*; give a whole number of at least 1$"):
        drafter.draft_all([one], batch_size=batch_size)


@pytest.mark.parametrize("given", ["study.png", Path("study.png"), None, 5, ["study.png"]])
def test_what_is_no_study_is_refused(drafter: Drafter, one: Study, given: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: drafter.draft(given),
        lambda: drafter.draft_all([given]),
        lambda: drafter.attention_map(given),
        lambda: drafter.preprocessing_stages(given),
        lambda: list(drafter.features([given])),
        lambda: DraftRequest(given),
        lambda: PriorStudy(given),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"^a study is expected instead of \w+; read it with read_study$"):
            call()


def test_a_prior_is_given_as_prior_study(one: Study) -> None:
    with pytest.raises(UsageError, match=r"^priors contains Study; give PriorStudy\(study\) for each prior study$"):
        DraftRequest(one, priors=(one,))  # type: ignore[arg-type]


def test_a_single_study_is_no_list(drafter: Drafter, one: Study) -> None:
    for given in (one, DraftRequest(one), "study.png"):
        with pytest.raises(UsageError, match="a list of studies is expected"):
            drafter.draft_all(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"indication": 5}, "the indication is of type int; give a text"),
        ({"indication": b"x"}, "the indication is of type bytes; give a text"),
        ({"overrides": {"Edema": None}}, "overrides contains None"),
        ({"overrides": {5: "present"}}, "overrides contains 5"),
        ({"overrides": [1]}, "overrides is of type list; give a mapping"),
        ({"overrides": {"Edema": "x"}}, "finding 'Edema' is overridden as 'x'; choose from present, absent"),
        ({"attributes": {"modality": 5}}, "attributes contains 5"),
        ({"attributes": "modality"}, "attributes is of type str; give a mapping"),
    ],
)
def test_what_the_reader_adds_has_the_right_types(
    drafter: Drafter, one: Study, arguments: dict[str, Any], fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        drafter.draft(one, **arguments)
    with pytest.raises(UsageError, match=fault):
        drafter.draft(DraftRequest(one, **arguments))


def test_a_state_may_be_given_as_its_text(drafter: Drafter, one: Study) -> None:
    decoding = Decoding(max_tokens=3)
    report = drafter.draft(one, overrides={"Edema": "present"}, decoding=decoding)  # type: ignore[dict-item]
    assert isinstance(report, Report)
    (edema,) = [finding for finding in report.findings if finding.name == "Edema"]
    assert (edema.state is FindingState.PRESENT, edema.overridden) == (True, True)


def test_cuda_graphs_are_refused_on_a_cpu() -> None:
    with pytest.raises(UsageError, match=r"^CUDA graphs need a CUDA device, not 'cpu'; leave out cuda_graphs$"):
        Drafter.from_checkpoint(tiny_checkpoint(), device="cpu", cuda_graphs=True)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool])
def test_types_without_a_floating_point_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UsageError, match=rf"^dtype {dtype} is not a floating-point type; choose auto, float32"):
        Drafter.from_checkpoint(tiny_checkpoint(), dtype=dtype)


def test_a_device_that_is_no_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^device 'None' is not known; choose auto, "):
        Drafter.from_checkpoint(tiny_checkpoint(), device=None)  # type: ignore[arg-type]
