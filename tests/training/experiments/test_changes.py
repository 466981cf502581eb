"""Changes between two studies: scores against other implementations, a drawn task, and a whole run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from report_gen_training.experiments.change_scores import (
    ScoredPairs,
    choose_limit,
    difference_scores,
    relative_scores,
    score_changes,
)
from report_gen_training.experiments.changes import main
from report_gen_training.experiments.follow_up_images import load_follow_ups
from report_gen_training.experiments.temporal_head import (
    PairedFindings,
    TemporalHead,
    negative_log_likelihood,
    train_head,
)
from scipy.stats import mannwhitneyu

from report_gen.config import ChangeConfig
from report_gen.labeling import chest_xray
from report_gen.model import change_probabilities, load_checkpoint
from report_gen.phantom.dicom import draw_chest
from tests.builders import THRESHOLDS, noise_image, tiny_config, tiny_model, write_checkpoint, write_png

GRID = 8


# ---- scores -------------------------------------------------------------------------------------------------------


def noisy_pairs(pairs: int = 300) -> tuple[ScoredPairs, np.ndarray]:
    random = np.random.default_rng(0)
    cells = np.eye(4, dtype=bool)[random.integers(0, 4, (pairs, 2))]  # [P,2,4]
    cells[:9, 0] = False
    scores = random.random((pairs, 2, 3)) + 0.4 * cells[..., :3]
    return ScoredPairs(cells, np.repeat([f"p{number}" for number in range(pairs // 3)], 3)), scores


def test_auroc_is_the_mean_mann_whitney_statistic_over_the_findings() -> None:
    pairs, scores = noisy_pairs()
    found = score_changes(pairs, scores, 0.5, draws=200, seed=0)
    for change, (value, low, high) in enumerate(found[:3]):
        expected = []
        for finding in (0, 1):
            shown = pairs.cells[:, finding, :3].any(-1)
            of_change = pairs.cells[shown, finding, change]
            values = scores[shown, finding, change]
            statistic = mannwhitneyu(values[of_change], values[~of_change]).statistic
            expected.append(statistic / (of_change.sum() * (~of_change).sum()))
        assert value == pytest.approx(np.mean(expected))
        assert low < value < high


def test_balanced_accuracy_by_hand() -> None:
    """Called unchanged from 0.5 on; right are 1 of 2 new, 1 of 1 unchanged, 0 of 1 resolved."""
    cells = np.zeros((5, 1, 4), dtype=bool)
    cells[range(5), 0, [0, 0, 1, 2, 3]] = True
    scores = np.array([[0.9, 0.1, 0.0], [0.1, 0.5, 0.2], [0.0, 0.7, 0.9], [0.4, 0.3, 0.3], [1.0, 0.0, 0.0]])[:, None]
    pairs = ScoredPairs(cells, np.array(list("aabbc")))
    (*_, (accuracy, _, _)) = score_changes(pairs, scores, 0.5, draws=20, seed=0)
    assert accuracy == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_the_limit_with_the_best_balanced_accuracy_is_chosen() -> None:
    cells = np.eye(4, dtype=bool)[[0, 1, 2, 1]][:, None]
    scores = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.2, 0.4, 0.4], [0.3, 0.45, 0.2]])[:, None]
    assert choose_limit(ScoredPairs(cells, np.array(list("abcd"))), scores) == 0.45


def test_scores_of_the_difference_and_of_probabilities() -> None:
    found = difference_scores(np.array([[0.2]]), np.array([[0.7]]))
    np.testing.assert_allclose(found, [[[0.5, -0.5, -0.5]]])
    np.testing.assert_allclose(relative_scores(np.array([[[0.1, 0.3, 0.1]]])), [[[0.2, 0.6, 0.2]]])


# ---- a drawn task -------------------------------------------------------------------------------------------------


def drawn_chest(effusion: bool, seed: int) -> torch.Tensor:
    """Return the mean gray levels [64] of the parts of a drawn chest, with or without an effusion."""
    pixels = draw_chest(64, 64, seed=seed, effusion="left" if effusion else None) / 4095
    return torch.from_numpy(pixels.reshape(GRID, 64 // GRID, GRID, -1).mean((1, 3)).ravel()).float()


def drawn_pairs(count: int, seed: int) -> tuple[PairedFindings, torch.Tensor]:
    """Return pairs of drawn chests whose effusion is new, unchanged, resolved or absent; probabilities say nothing."""
    case = torch.arange(count) % 4
    before, now = (case == 1) | (case == 2), (case == 0) | (case == 1)
    features = [
        torch.stack([drawn_chest(bool(shown), 1000 * seed + 2 * number + study) for number, shown in enumerate(states)])
        for study, states in enumerate((before, now))
    ]
    logits = torch.zeros(count, 1)
    cells = torch.eye(4, dtype=torch.bool)[case][:, None]
    return PairedFindings(20 * features[0][:, None], 20 * features[1][:, None], logits, logits), cells


def test_a_head_learns_appearing_and_disappearing_lesions_of_drawn_chests() -> None:
    head = train_head(*repeated(*drawn_pairs(120, 1)), decay=0.0, seed=0)
    pairs, cells = drawn_pairs(60, 2)
    changed = cells[:, 0, 0] | cells[:, 0, 2]
    called = head(pairs)[:, 0, [0, 2]].argmax(-1)  # new or resolved
    assert (called[changed] == cells[changed, 0, 2].long()).all()
    untrained = TemporalHead(1, GRID**2)
    loss, start = (negative_log_likelihood(one(pairs), cells).item() for one in (head, untrained))
    assert start == pytest.approx(np.log(4))
    assert loss < start - 0.4


def repeated(pairs: PairedFindings, cells: torch.Tensor, times: int = 40) -> tuple[PairedFindings, torch.Tensor]:
    """Return each pair several times, so that the few epochs of a large corpus suffice."""
    return PairedFindings(*(torch.cat([one] * times) for one in pairs)), torch.cat([cells] * times)


def test_an_untrained_head_is_the_joint_distribution_of_independent_studies() -> None:
    torch.manual_seed(0)
    prior, present, features = torch.rand(5, 3), torch.rand(5, 3), torch.randn(2, 5, 3, 4)
    logits = TemporalHead(3, 4)(PairedFindings(*features, prior.logit(), present.logit()))
    config = ChangeConfig(trained=(True,) * 3, bias=(0.0,) * 3, persistence=(0.0,) * 3)
    torch.testing.assert_close(logits.softmax(-1)[..., :3], change_probabilities(prior, present, config))


def test_swapping_the_studies_swaps_new_and_resolved() -> None:
    torch.manual_seed(0)
    head = TemporalHead(3, 4)
    torch.nn.init.normal_(head.direction)
    one, other, a, b = torch.randn(5, 3, 4), torch.randn(5, 3, 4), torch.randn(5, 3), torch.randn(5, 3)
    swapped = head(PairedFindings(other, one, b, a))
    torch.testing.assert_close(head(PairedFindings(one, other, a, b)), swapped[..., [2, 1, 0, 3]])


# ---- a whole run --------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus of 60 patients with three images of noise each, and random labels."""
    random = np.random.default_rng(0)
    lines = ["Image Index,Finding Labels,Patient ID,View Position"]
    for patient in range(60):
        for number in range(3):
            name = f"{patient:08}_{number:03}"
            write_png(tmp_path / "nih" / "images" / f"{name}.png", noise_image(3 * patient + number))
            lines.append(f"{name}.png,{random.choice(['No Finding', 'Edema', 'Effusion|Mass'])},{patient},PA")
    (tmp_path / "nih" / "labels.csv").write_text("\n".join(lines))
    (tmp_path / "tiny.toml").write_text(
        """
        name = "tiny"
        corpora = [{ name = "nih", path = "nih", layout = "nih" }]
        stages = [{ name = "heads", corpora = ["nih"], steps = 1, rates = { projector = 1e-3 } }]
        [model.encoder]
        name = "test_vit"
        """
    )
    return tmp_path


def test_a_whole_run_writes_parameters_that_a_checkpoint_can_have(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint(corpus / "checkpoint", model=tiny_model(tiny_config(findings={"present": THRESHOLDS})))
    output = corpus / "out"
    arguments = [str(corpus), "--recipe", str(corpus / "tiny.toml"), "--checkpoint", str(folder)]
    main([*arguments, "--output", str(output), "--test", "--device", "cpu"])
    table = (output / "changes.md").read_text()
    assert capsys.readouterr().out == table + "\n"
    counts = [tuple(map(int, match)) for match in re.findall(r"(?:val|test): (\d+) pairs of (\d+) patients", table)]
    assert len(counts) == 2
    assert all(pairs == 2 * patients for pairs, patients in counts)
    config = ChangeConfig.model_validate_json((output / "changes.json").read_text())
    names = {name for name, trained in zip(chest_xray().findings, config.trained, strict=True) if trained}
    assert names == {"Edema", "Pleural Effusion", "Lung Lesion"}
    assert tiny_config(changes=json.loads((output / "changes.json").read_text())).changes == config
    main([*arguments, "--output", str(output), "--test", "--device", "cpu"])  # from the stored features
    assert (output / "changes.md").read_text() == table


def test_patients_of_several_splits_and_their_labels(corpus: Path) -> None:
    folder = write_checkpoint(corpus / "checkpoint")
    found = load_follow_ups(
        str(corpus / "tiny.toml"), corpus, load_checkpoint(folder), cache=corpus / "out", device=torch.device("cpu")
    )
    patients = {split: set(found.patients(split)) for split in ("train", "val", "test")}
    assert set.union(*patients.values()) == {str(number) for number in range(60)}
    assert sum(map(len, patients.values())) == 60
    assert sum(len(pairs) for pairs in found.by_split.values()) == 120
