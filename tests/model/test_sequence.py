"""Sequence encoders: order, reference, padding and units of the views, and their results computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pydantic
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from report_gen.config import SequenceConfig
from report_gen.model import SequenceEncoder, build_sequence_encoder
from report_gen.model.sequence import OFFSET_FEATURES, AttentionEncoder, RecurrentEncoder, offset_features, sort_views

B, V, N, D_IMG, W = 2, 5, 3, 8, 12
NAN = math.nan
MM, SECONDS, DAYS = 0, 1, 2
KINDS: list[dict[str, Any]] = [
    {"kind": "recurrent"},
    {"kind": "recurrent", "cell": "gru"},
    {"kind": "attention"},
]


def build(**changes: Any) -> SequenceEncoder:
    """Return an encoder in evaluation mode whose last layer is not zero."""
    torch.manual_seed(0)
    config = SequenceConfig.model_validate({"width": W, "heads": 2} | changes)
    encoder = build_sequence_encoder(config, image_width=D_IMG).eval()
    for parameter in encoder.parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    return encoder


def features(views: int = V, seed: int = 1) -> torch.Tensor:
    return torch.randn(B, views, N, D_IMG, generator=torch.Generator().manual_seed(seed))


def offsets() -> torch.Tensor:
    """Return offsets in which every view is distinct, and some are not known."""
    rows = [
        [(0, NAN, 0), (12.5, NAN, 0), (-7.5, NAN, 0), (5, NAN, 0), (NAN, NAN, 0)],
        [(NAN, 0, 0), (NAN, 31.5, 0), (3, 4, 0), (3, 9, 0), (NAN, NAN, -400)],
    ]
    return torch.tensor(rows)


def present(*counts: int) -> torch.Tensor:
    return torch.arange(V) < torch.tensor(counts or (V,) * B)[:, None]


@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_an_untrained_encoder_changes_nothing(changes: dict[str, Any]) -> None:
    config = SequenceConfig.model_validate({"width": W} | changes)
    encoder = build_sequence_encoder(config, image_width=D_IMG)
    found, mask = encoder(features(), present(3, 5), offsets())
    assert torch.equal(found, features())
    assert torch.equal(mask, present(3, 5))
    trained, _ = build(**changes)(features(), present(3, 5), offsets())
    assert (trained - features()).abs().mean() > 0.1


@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_the_order_of_the_files_does_not_matter(changes: dict[str, Any]) -> None:
    encoder, order = build(**changes), torch.tensor([3, 0, 4, 2, 1])
    expected, _ = encoder(features(), present(), offsets())
    found, _ = encoder(features()[:, order], present(), offsets()[:, order])
    torch.testing.assert_close(found, expected[:, order])


@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_another_reference_does_not_matter(changes: dict[str, Any]) -> None:
    encoder = build(**changes)
    expected, _ = encoder(features(), present(), offsets())
    found, _ = encoder(features(), present(), offsets() + torch.tensor([64.0, -16.0, 32.0]))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_missing_views_do_not_matter(changes: dict[str, Any]) -> None:
    encoder = build(**changes)
    for count in (1, 2, 4):
        alone, _ = encoder(features()[:, :count], present()[:, :count], offsets()[:, :count])
        beside, _ = encoder(features(), present(count, count), offsets())
        torch.testing.assert_close(beside[:, :count], alone, atol=1e-6, rtol=1e-6)
        middle = torch.tensor([[False, *[True] * count]] * B)  # a missing view before the others
        found, _ = encoder(
            torch.cat([9 * features(1, seed=2), features()[:, :count]], 1),
            middle,
            torch.cat([torch.full((B, 1, 3), 5.0), offsets()[:, :count]], 1),
        )
        torch.testing.assert_close(found[:, 1:], alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_a_study_does_not_depend_on_others_of_its_batch(changes: dict[str, Any]) -> None:
    encoder, mask = build(**changes), present(5, 2)
    together, _ = encoder(features(), mask, offsets())
    for row in range(B):
        count = int(mask[row].sum())
        alone, _ = encoder(
            features()[row : row + 1, :count], mask[row : row + 1, :count], offsets()[row : row + 1, :count]
        )
        torch.testing.assert_close(together[row : row + 1, :count], alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("axis", [MM, SECONDS, DAYS])
@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_distances_in_every_unit_and_unknown_ones_differ(changes: dict[str, Any], axis: int) -> None:
    encoder = build(**changes)
    results = []
    for step in (2.0, 5.0, -2.0, NAN):
        given = torch.tensor([NAN, NAN, 0.0]).repeat(B, V, 1)
        given[..., axis] = step * torch.arange(V)
        results.append(encoder(features(), present(), given)[0])
    for index, one in enumerate(results):
        for other in results[:index]:
            assert (one - other).abs().max() > 0.01


@torch.inference_mode()
def test_the_mean_is_that_of_the_present_views() -> None:
    encoder = build(kind="mean")
    found, mask = encoder(features(), present(2, 5), offsets())
    assert mask.tolist() == [[True]] * B
    assert found.shape == (B, 1, N, D_IMG)
    torch.testing.assert_close(found[0, 0], (features()[0, 0] + features()[0, 1]) / 2)
    torch.testing.assert_close(found[1, 0], features()[1].mean(0))
    assert list(encoder.parameters()) == []


@torch.inference_mode()
def test_the_recurrent_network_reads_the_patches_of_one_place_in_order() -> None:
    encoder = build(kind="recurrent", layers=1)
    assert isinstance(encoder, RecurrentEncoder)
    found, _ = encoder(features(), present(4, 5), offsets())
    study, patch, order = 0, 2, [2, 0, 3, 1]  # -7.5, 0, 5, 12.5 mm
    views = features()[study, order, patch]  # [4,D_img]
    since_first = torch.tensor([[mm + 7.5, NAN, 0.0] for mm in (-7.5, 0.0, 5.0, 12.5)])
    hidden = encoder.reduce(encoder.norm(views)) + encoder.embed(offset_features(since_first))  # [4,W]
    read, _ = encoder.network(hidden)  # one sequence, neither packed nor padded
    torch.testing.assert_close(found[study, order, patch], views + encoder.expand(read))


@torch.inference_mode()
def test_attention_adds_a_bias_by_distance_to_the_scores() -> None:
    encoder = build(kind="attention", layers=1)
    assert isinstance(encoder, AttentionEncoder)
    given = torch.tensor([(0.0, NAN, 0.0), (4.0, NAN, 0.0), (NAN, NAN, 0.0), (-9.0, NAN, 0.0)])
    views, (layer,) = features()[0, :4, 1], encoder.layers  # [4,D_img]
    since_first = given - torch.tensor([-9.0, 0.0, 0.0])
    hidden = encoder.reduce(encoder.norm(views)) + encoder.embed(offset_features(since_first))  # [4,W]
    query, key, value = layer.query_key_value(layer.norm(hidden)).chunk(3, -1)
    mixed = torch.zeros(4, W)
    for head, part in enumerate((slice(0, W // 2), slice(W // 2, W))):
        for row in range(4):
            scores = torch.stack(
                [
                    query[row, part] @ key[column, part] / (W // 2) ** 0.5
                    + layer.distance_bias(offset_features(given[column] - given[row]))[head]
                    for column in range(4)
                ]
            )
            mixed[row, part] = scores.softmax(0) @ value[:, part]
    hidden = hidden + layer.output(mixed)
    hidden = hidden + layer.mlp(hidden)
    expected = views + encoder.expand(encoder.last_norm(hidden))
    found, _ = encoder(features()[:1, :4], torch.ones(1, 4, dtype=torch.bool), given[None])
    torch.testing.assert_close(found[0, :, 1], expected)


def test_views_are_sorted_by_days_then_millimeters_then_seconds() -> None:
    rows = [
        [(5.0, 0.0, 0.0), (0.0, 9.0, 0.0), (NAN, 1.0, 0.0), (0.0, 3.0, 0.0), (70.0, 0.0, -30.0)],
        [(NAN, NAN, 0.0), (2.0, NAN, 0.0), (NAN, NAN, 0.0), (1.0, NAN, 0.0), (0.0, NAN, NAN)],
    ]
    assert sort_views(present(5, 5), torch.tensor(rows)).tolist() == [[4, 3, 1, 0, 2], [3, 1, 0, 2, 4]]
    missing = torch.tensor([[False, True, True, True, False], [True] * 5])
    assert sort_views(missing, torch.tensor(rows))[0].tolist() == [3, 1, 2, 4, 0]


def test_offset_features_of_known_waves() -> None:
    given = torch.tensor([250.0, 0.025, 912.5])  # a quarter of the longest, the shortest and the longest wavelength
    mm, seconds, days = offset_features(given).unflatten(0, (3, -1))
    waves = (OFFSET_FEATURES // 3 - 2) // 2
    torch.testing.assert_close(mm[[waves - 1, 2 * waves - 1]], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(seconds[[0, waves]], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(days[[waves - 1, 2 * waves - 1]], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    assert mm[-2].item() == pytest.approx(math.asinh(250) / math.asinh(1000))
    assert mm[-1].item() == seconds[-1].item() == days[-1].item() == 1


def test_offset_features_of_no_distance_and_of_an_unknown_one() -> None:
    mm, seconds, days = offset_features(torch.tensor([0.0, NAN, -math.inf])).unflatten(0, (3, -1))
    waves = (OFFSET_FEATURES // 3 - 2) // 2
    assert mm.tolist() == [0.0] * waves + [1.0] * waves + [0.0, 1.0]
    assert not seconds.any()
    assert not days.any()


def test_offset_features_have_the_sign_of_the_offset() -> None:
    later, earlier = offset_features(torch.tensor([[40.0, 7.0, 100.0], [-40.0, -7.0, -100.0]])).unflatten(1, (3, -1))
    waves = (OFFSET_FEATURES // 3 - 2) // 2
    even = [*range(waves, 2 * waves), 2 * waves + 1]
    odd = [*range(waves), 2 * waves]
    torch.testing.assert_close(later[:, even], earlier[:, even])
    torch.testing.assert_close(later[:, odd], -earlier[:, odd])


@pytest.mark.parametrize("changes", KINDS)
def test_every_parameter_gets_a_gradient(changes: dict[str, Any]) -> None:
    encoder = build(**changes).train()
    found, _ = encoder(features(), present(4, 5), offsets())
    F.mse_loss(found, torch.ones_like(found)).backward()
    assert [name for name, one in encoder.named_parameters() if one.grad is None or not one.grad.any()] == []


@pytest.mark.parametrize("changes", KINDS)
@torch.inference_mode()
def test_bfloat16_is_close_to_float32(changes: dict[str, Any]) -> None:
    encoder, far = build(**changes), offsets() + torch.tensor([300.0, 3000.0, 0.0])
    expected, _ = encoder(features(), present(), far)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = encoder(features(), present(), far)
    short, _ = encoder.bfloat16()(features().bfloat16(), present(), far)
    for one in (found, short):
        torch.testing.assert_close(one.float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "recurrent", "width": 7}, "2 directions cannot share a width of 7"),
        ({"kind": "attention", "width": 10, "heads": 4}, "4 heads cannot share a width of 10"),
        ({"kind": "attention", "layers": 0}, "layers"),
        ({"kind": "attention", "width": 10**6}, "width"),
        ({"kind": "transformer"}, "kind"),
        ({}, "kind"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        SequenceConfig.model_validate(changes)
