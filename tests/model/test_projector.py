"""The projector: shapes, masks, order of the views, and the finding head computed by hand."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch.nn import functional as F

from report_gen.config import STATES, VIEWS
from report_gen.model import Projector, VisualFeatures
from report_gen.records import ViewPosition
from tests.builders import FINDINGS

B, V, GRID, D_IMG, D_TXT = 2, 3, 2, 8, 6
N = GRID**2
PA, LATERAL = VIEWS.index(ViewPosition.PA), VIEWS.index(ViewPosition.LATERAL)


def build(patch_tokens: int | Literal["all"] = 5, *, randomized: bool = True) -> Projector:
    torch.manual_seed(0)
    projector = Projector(
        findings=len(FINDINGS),
        image_width=D_IMG,
        text_width=D_TXT,
        grid=GRID,
        patch_tokens=patch_tokens,
        hidden=7,
        dropout=0.3,
    )
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.add_(torch.randn_like(parameter) * randomized)
    return projector.eval()


def features(views: int = V) -> torch.Tensor:
    return torch.randn(B, views, N, D_IMG, generator=torch.Generator().manual_seed(1))


def positions(*rows: int) -> torch.Tensor:
    return torch.tensor([rows] * B)


def assert_close(one: VisualFeatures, other: VisualFeatures) -> None:
    """Compare what the decoder and the finding head use."""
    torch.testing.assert_close(one.finding_features, other.finding_features)
    torch.testing.assert_close(one.finding_logits, other.finding_logits)


@pytest.mark.parametrize(("patch_tokens", "count"), [(0, 0), (5, 5), ("all", V * N)])
def test_shapes(patch_tokens: int | Literal["all"], count: int) -> None:
    visual = build(patch_tokens)(features(), positions(0, 1, 2), torch.ones(B, V, dtype=torch.bool))
    assert visual.finding_features.shape == (B, 17, D_IMG)
    assert visual.finding_logits.shape == (B, 17)
    assert visual.finding_attention.shape == (B, 17, V * N)
    assert visual.patch_tokens.shape == (B, count, D_TXT)
    assert visual.patch_mask.shape == (B, count)
    assert visual.patch_mask.all()
    assert visual.patch_mask.dtype == torch.bool


def test_attention_sums_to_one_and_is_exactly_zero_on_missing_views() -> None:
    mask = torch.tensor([[True, False, True], [True, True, False]])
    attention = build()(features(), positions(0, 1, 2), mask).finding_attention.unflatten(2, (V, N))
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(B, 17))
    assert (attention[0, :, 1] == 0).all()
    assert (attention[1, :, 2] == 0).all()
    assert (attention[0, :, 0] > 0).all()


@pytest.mark.parametrize("patch_tokens", [0, 5])
def test_a_missing_view_changes_nothing(patch_tokens: int) -> None:
    projector, patches_in = build(patch_tokens), features()
    alone = projector(patches_in[:, :1], positions(PA), torch.ones(B, 1, dtype=torch.bool))
    mask = torch.tensor([[True, False, False]] * B)
    beside = projector(patches_in, positions(PA, LATERAL, 0), mask)
    assert_close(alone, beside)
    torch.testing.assert_close(alone.patch_tokens, beside.patch_tokens)
    other = projector(torch.cat([patches_in[:, :1], 100 * patches_in[:, 1:]], dim=1), positions(PA, 1, 1), mask)
    assert torch.equal(other.finding_logits, beside.finding_logits)
    assert torch.equal(other.patch_tokens, beside.patch_tokens)


def test_every_patch_of_a_missing_view_is_masked_where_all_are_tokens() -> None:
    visual = build("all")(features(), positions(0, 1, 2), torch.tensor([[True, False, True]] * B))
    assert visual.patch_mask.unflatten(1, (V, N)).all(-1).tolist() == [[True, False, True]] * B


def test_the_order_of_views_does_not_matter() -> None:
    projector, patches_in = build(), features(2)
    present = torch.ones(B, 2, dtype=torch.bool)
    one = projector(patches_in, positions(PA, LATERAL), present)
    swapped = projector(patches_in.flip(1), positions(LATERAL, PA), present)
    assert_close(one, swapped)
    torch.testing.assert_close(one.patch_tokens, swapped.patch_tokens)
    mislabeled = projector(patches_in, positions(LATERAL, PA), present)
    assert not torch.allclose(one.finding_logits, mislabeled.finding_logits, atol=1e-3)


def test_the_position_of_a_patch_matters() -> None:
    projector, patches_in = build(), features(1)
    present = torch.ones(B, 1, dtype=torch.bool)
    one, moved = (projector(patches, positions(PA), present) for patches in (patches_in, patches_in.roll(1, dims=2)))
    assert not torch.allclose(one.finding_logits, moved.finding_logits, atol=1e-3)


def test_the_finding_head_starts_as_a_logistic_regression_on_the_mean_patch() -> None:
    projector, patches_in = build(randomized=False), features(2)
    with torch.no_grad():
        projector.finding_weight.normal_()
        projector.finding_bias.normal_()
    visual = projector(patches_in, positions(PA, LATERAL), torch.ones(B, 2, dtype=torch.bool))
    mean = F.layer_norm(patches_in, (D_IMG,)).mean((1, 2))  # [B,D_img]
    by_hand = mean @ projector.finding_weight.T + projector.finding_bias
    torch.testing.assert_close(visual.finding_logits, by_hand)


def test_finding_tokens_without_images_are_the_state_embeddings() -> None:
    projector = build()
    states = torch.randint(len(STATES), (B, 17), generator=torch.Generator().manual_seed(2))
    tokens = projector.finding_tokens(states, None)
    expected = [[projector.state_embedding[finding, states[row, finding]] for finding in range(17)] for row in range(B)]
    assert torch.equal(tokens, torch.stack([torch.stack(row) for row in expected]))


def test_a_state_changes_the_token_of_its_finding_alone() -> None:
    projector = build()
    visual = projector(features(), positions(0, 1, 2), torch.ones(B, V, dtype=torch.bool))
    absent, present = torch.ones(B, 17, dtype=torch.long), torch.ones(B, 17, dtype=torch.long)
    effusion = FINDINGS.index("Pleural Effusion")
    present[:, effusion] = 0
    changed = (projector.finding_tokens(absent, visual) != projector.finding_tokens(present, visual)).any(-1)
    assert changed.nonzero()[:, 1].tolist() == [effusion] * B


def test_images_add_nothing_to_the_finding_tokens_before_training() -> None:
    projector = build(randomized=False)
    visual = projector(features(), positions(0, 1, 2), torch.ones(B, V, dtype=torch.bool))
    states = torch.zeros(B, 17, dtype=torch.long)
    assert torch.equal(projector.finding_tokens(states, visual), projector.finding_tokens(states, None))


def test_dropout_is_active_in_training_mode_only() -> None:
    projector, patches_in = build(), features()
    arguments = (patches_in, positions(0, 1, 2), torch.ones(B, V, dtype=torch.bool))
    assert torch.equal(projector(*arguments).finding_logits, projector(*arguments).finding_logits)
    projector.train()
    assert not torch.equal(projector(*arguments).finding_logits, projector(*arguments).finding_logits)


def with_attributes(*values: int) -> Projector:
    torch.manual_seed(0)
    return Projector(
        findings=len(FINDINGS),
        image_width=D_IMG,
        text_width=D_TXT,
        grid=GRID,
        patch_tokens=5,
        hidden=7,
        dropout=0.3,
        attributes=values,
    ).eval()


def test_without_attributes_there_are_no_attribute_weights() -> None:
    assert not any("attribute" in name for name in build().state_dict())
    plain, more = build(randomized=False).state_dict(), with_attributes(2, 3).state_dict()
    for name, tensor in plain.items():
        assert torch.equal(tensor, more[name]), name
    visual = build()(features(), positions(0, 1, 2), torch.ones(B, V, dtype=torch.bool))
    assert visual.attribute_logits == ()
    assert build().attribute_tokens(torch.zeros(B, 0, dtype=torch.long)).shape == (B, 0, D_TXT)


def test_attribute_heads_start_as_a_softmax_regression_on_the_mean_patch() -> None:
    projector, patches_in = with_attributes(2, 3), features(2)
    visual = projector(patches_in, positions(PA, LATERAL), torch.ones(B, 2, dtype=torch.bool))
    assert [logits.shape for logits in visual.attribute_logits] == [(B, 2), (B, 3)]
    assert not any(logits.any() for logits in visual.attribute_logits)
    head = projector.attribute_heads[1]
    with torch.no_grad():
        head.weight.normal_()
        head.bias.normal_()
    mean = F.layer_norm(patches_in, (D_IMG,)).mean((1, 2))  # [B,D_img]
    visual = projector(patches_in, positions(PA, LATERAL), torch.ones(B, 2, dtype=torch.bool))
    torch.testing.assert_close(visual.attribute_logits[1], mean @ head.weight.T + head.bias)


def test_a_missing_view_does_not_change_attribute_logits() -> None:
    projector, patches_in = with_attributes(3), features()
    with torch.no_grad():
        for parameter in projector.attribute_heads.parameters():
            parameter.normal_()
    alone = projector(patches_in[:, :1], positions(PA), torch.ones(B, 1, dtype=torch.bool))
    beside = projector(patches_in, positions(PA, LATERAL, 0), torch.tensor([[True, False, False]] * B))
    torch.testing.assert_close(alone.attribute_logits[0], beside.attribute_logits[0])


def test_attribute_tokens_are_the_embeddings_of_the_values() -> None:
    projector = with_attributes(2, 3)
    tokens = projector.attribute_tokens(torch.tensor([[0, 3], [2, 1]]))
    modality, plane = projector.attribute_embeddings
    assert modality.shape == (3, D_TXT)
    assert plane.shape == (4, D_TXT)
    expected = [torch.stack([modality[0], plane[3]]), torch.stack([modality[2], plane[1]])]
    assert torch.equal(tokens, torch.stack(expected))
