"""The views of a study as the model gets them: trained views are kept, others are replaced or left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from report_gen.config import VIEWS, TrainedViews
from report_gen.drafting.views import choose_images, replace_view, trained_views, views_of_prompt
from report_gen.records import Image, ViewPosition
from tests.builders import tiny_config, tiny_model

PA, AP, FRONTAL, LATERAL, OBLIQUE, UNKNOWN = (
    ViewPosition[name] for name in ("PA", "AP", "FRONTAL", "LATERAL", "OBLIQUE", "UNKNOWN")
)


def trained(dropout: float = 0.15, **images: int) -> TrainedViews:
    return TrainedViews.model_validate({"images": images, "dropout": dropout})


def images_in(*views: ViewPosition) -> list[Image]:
    return [
        Image(path=Path(f"{number}.dcm"), sha256="0", rows=1, columns=1, view_position=view)
        for number, view in enumerate(views)
    ]


@pytest.mark.parametrize(
    ("images", "dropout", "view", "expected"),
    [
        ({"PA": 9, "AP": 5}, 0.15, PA, PA),
        ({"PA": 9, "AP": 5}, 0.15, UNKNOWN, UNKNOWN),
        ({"PA": 9, "AP": 5}, 0.15, FRONTAL, UNKNOWN),
        ({"PA": 9, "AP": 5}, 0.15, LATERAL, UNKNOWN),
        ({"PA": 9, "LATERAL": 5}, 0.15, LATERAL, LATERAL),
        ({"FRONTAL": 9, "LATERAL": 5}, 0.15, AP, FRONTAL),
        ({"PA": 9, "UNKNOWN": 5}, 0.0, LATERAL, UNKNOWN),
        # Without unknown views in training, the most frequent frontal view is assumed.
        ({"LATERAL": 9, "PA": 3, "AP": 5}, 0.0, UNKNOWN, AP),
        ({"PA": 9, "AP": 5}, 0.0, LATERAL, PA),
        ({"OBLIQUE": 1, "LATERAL": 9}, 0.0, UNKNOWN, LATERAL),
        # A view that all training images have tells nothing.
        ({"PA": 9}, 0.15, UNKNOWN, PA),
        ({"PA": 9}, 0.15, LATERAL, UNKNOWN),
        ({"PA": 9}, 0.0, UNKNOWN, PA),
        # A model that was not trained on images has no trained view.
        ({}, 0.15, LATERAL, LATERAL),
    ],
)
def test_a_view_is_replaced_by_a_trained_one(
    images: dict[str, int], dropout: float, view: ViewPosition, expected: ViewPosition
) -> None:
    assert replace_view(view, trained(dropout, **images)) is expected


@pytest.mark.parametrize(
    ("prompts", "views", "words"),
    [
        ({"PA": 9, "": 2}, (PA,), "PA"),
        ({"PA": 9, "": 2}, (UNKNOWN,), ""),
        ({"PA": 9, "lateral": 9, "": 2}, (PA, LATERAL), ""),
        ({"PA and lateral": 9, "": 2}, (LATERAL, PA), "PA and lateral"),
        ({"AP": 3, "PA": 9}, (UNKNOWN,), "PA"),
        ({}, (PA, OBLIQUE), "PA and oblique"),
    ],
)
def test_the_prompt_names_views_as_training_prompts_do(
    prompts: dict[str, int], views: tuple[ViewPosition, ...], words: str
) -> None:
    assert views_of_prompt(views, TrainedViews(prompts=prompts)) == words


LEFT_OUT = "1 of 2 images left out: the model was not trained on their views"


@pytest.mark.parametrize(
    ("declared", "images", "views", "kept", "notices"),
    [
        # A trained lateral view is used, with or without a declaration.
        ((), {"PA": 9, "LATERAL": 9}, (PA, LATERAL), (PA, LATERAL), ()),
        (("PA", "LATERAL"), {"PA": 9, "LATERAL": 9}, (PA, LATERAL), (PA, LATERAL), ()),
        # An untrained one is left out beside others, and drafted with a notice if it is alone.
        ((), {"PA": 9, "AP": 9}, (PA, LATERAL), (PA,), (LEFT_OUT,)),
        (
            (),
            {"PA": 9, "AP": 9},
            (LATERAL,),
            (UNKNOWN,),
            ("no image has a view that the model was trained on (PA, AP)",),
        ),
        (("PA",), {"PA": 9}, (LATERAL,), (UNKNOWN,), ("no image has a view that the model was trained on (PA)",)),
        (
            ("PA", "LATERAL"),
            {"PA": 9, "AP": 9},
            (PA, LATERAL),
            (PA, UNKNOWN),
            ("the model was not trained on the view lateral; the image is drafted as unknown",),
        ),
        # An unknown view is no reason for a notice if the model was trained on unknown views.
        ((), {"PA": 9, "AP": 9}, (UNKNOWN, UNKNOWN), (UNKNOWN, UNKNOWN), ()),
        (("PA", "AP"), {"PA": 9, "AP": 9}, (UNKNOWN,), (UNKNOWN,), ()),
        (("PA", "AP"), {"PA": 9, "AP": 9}, (FRONTAL,), (UNKNOWN,), ()),
        (("PA", "AP"), {"PA": 9, "AP": 9}, (PA, UNKNOWN), (PA, UNKNOWN), ()),
        (("FRONTAL",), {"FRONTAL": 9}, (PA,), (FRONTAL,), ()),
        # A model without a record of views gets what the study has.
        ((), {}, (OBLIQUE, UNKNOWN), (OBLIQUE, UNKNOWN), ()),
    ],
)
def test_images_are_chosen_by_view(
    declared: tuple[str, ...],
    images: dict[str, int],
    views: tuple[ViewPosition, ...],
    kept: tuple[ViewPosition, ...],
    notices: tuple[str, ...],
) -> None:
    chosen = choose_images(images_in(*views), declared, trained(**images))
    assert (chosen.views, chosen.notices) == (kept, notices)
    assert len(chosen.images) == len(kept)


@pytest.mark.parametrize("declared", [("PA", "AP", "UNKNOWN"), ("PA", "AP"), ()])
def test_an_assumed_view_is_a_notice(declared: tuple[str, ...]) -> None:
    chosen = choose_images(images_in(UNKNOWN, UNKNOWN), declared, trained(0.0, PA=9, AP=4))
    assert chosen.views == (PA, PA)
    assert chosen.notices == (
        "the view of an image is unknown; PA is assumed; specify another view with Study.with_view",
    )


def test_the_views_of_a_model_of_version_0_1_are_read_from_its_view_embedding() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.projector.view_embedding.weight.zero_()
        assert trained_views(model).embedded == frozenset()
        model.projector.view_embedding.weight[[VIEWS.index(AP), VIEWS.index(LATERAL)], 3] = 1e-4
    assert model.config.trained_views is None
    assert trained_views(model).embedded == {AP, LATERAL}


def test_recorded_views_take_precedence_over_the_embedding() -> None:
    recorded: dict[str, Any] = {"images": {"PA": 7}, "prompts": {"PA": 7}, "dropout": 0.1}
    assert trained_views(tiny_model(tiny_config(trained_views=recorded))).model_dump(mode="json") == recorded
