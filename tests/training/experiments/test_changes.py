"""Changes between two studies: scores against other implementations and by hand, and a whole run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from report_gen_training.experiments.change_scores import (
    Estimate,
    JudgedPairs,
    call_by_probabilities,
    call_by_states,
    cases_by_present,
    difference_scores,
    estimate,
)
from report_gen_training.experiments.changes import main
from report_gen_training.experiments.follow_up_images import load_follow_ups
from scipy.stats import mannwhitneyu

from report_gen.config import ChangeConfig
from report_gen.labeling import chest_xray
from report_gen.model import load_checkpoint
from tests.builders import THRESHOLDS, noise_image, tiny_config, tiny_model, write_checkpoint, write_png

# ---- scores -------------------------------------------------------------------------------------------------------


def drawn(pairs: int = 300) -> tuple[JudgedPairs, np.ndarray, np.ndarray]:
    """Return pairs with known cases of two findings, the index of each case, and probabilities that follow it."""
    random = np.random.default_rng(0)
    case = random.integers(0, 4, (pairs, 2))
    probabilities = random.dirichlet(np.ones(4), (pairs, 2)) + 0.3 * np.eye(4)[case]
    patients = np.repeat([f"p{number}" for number in range(pairs // 3)], 3)
    judged = JudgedPairs(np.eye(4, dtype=bool)[case], patients, draws=200, seed=0)
    return judged, case, probabilities / probabilities.sum(-1, keepdims=True)


def test_the_present_study_alone_divides_its_probability_by_the_frequencies_of_the_cases() -> None:
    frequencies = np.array([[0.1, 0.3, 0.2, 0.4], [0.0, 0.0, 0.0, 1.0]])
    found = cases_by_present(np.array([[0.8, 0.5]]), frequencies)
    np.testing.assert_allclose(found, [[[0.2, 0.6, 0.2 / 3, 0.4 / 3], [0, 0, 0, 0.5]]])


def test_balanced_accuracy_is_the_mean_share_of_each_case_that_is_called_so() -> None:
    judged, case, probabilities = drawn()
    calls = probabilities.argmax(-1)
    found = judged.balanced_accuracy(calls)
    for finding in (0, 1):
        value, low, high = estimate(found[:, finding])
        shares = [
            np.mean(
                [
                    called == number
                    for called, true in zip(calls[:, finding], case[:, finding], strict=True)
                    if true == number
                ]
            )
            for number in range(4)
        ]
        assert value == pytest.approx(np.mean(shares))
        assert low < value < high


def test_auroc_is_the_mann_whitney_statistic() -> None:
    judged, case, probabilities = drawn()
    for number in range(3):
        found = judged.auroc(probabilities[..., number], number)
        for finding in (0, 1):
            scores, truth = probabilities[:, finding, number], case[:, finding] == number
            statistic = mannwhitneyu(scores[truth], scores[~truth]).statistic
            assert found[0, finding] == pytest.approx(statistic / (truth.sum() * (~truth).sum()))


def test_pairs_with_an_unknown_label_do_not_count() -> None:
    judged, _, probabilities = drawn()
    cells = np.concatenate([judged.cells, np.zeros((3, 2, 4), dtype=bool)])
    patients = np.array([*np.repeat([f"p{number}" for number in range(100)], 3), "x", "y", "z"])
    more = JudgedPairs(cells, patients, draws=0, seed=0)
    calls = np.concatenate([probabilities.argmax(-1), np.full((3, 2), 1)])
    assert more.balanced_accuracy(calls)[0] == pytest.approx(judged.balanced_accuracy(calls[:-3])[0])
    assert more.precision(calls == 1, 1)[:2] == judged.precision(calls[:-3] == 1, 1)[:2]


def test_the_mean_leaves_out_a_finding_with_few_cases() -> None:
    cells = np.zeros((40, 2, 4), dtype=bool)
    cells[:, 0, 3] = cells[:, 1, 3] = True
    for case in range(3):
        cells[5 * case : 5 * case + 5, 0] = np.eye(4, dtype=bool)[case]
        cells[4 * case : 4 * case + 4, 1] = np.eye(4, dtype=bool)[case]
    judged = JudgedPairs(cells, np.array([str(number) for number in range(40)]), draws=10, seed=0)
    assert judged.frequent.tolist() == [0]


def test_precision_by_hand() -> None:
    cells = np.zeros((4, 1, 4), dtype=bool)
    cells[[0, 1, 2], 0, [0, 1, 0]] = True  # of the last pair a label is unknown
    judged = JudgedPairs(cells, np.array(list("abcd")), draws=50, seed=0)
    right, count, found = judged.precision(np.array([[True], [True], [False], [True]]), 0)
    assert (right, count, found.value) == (1, 2, 0.5)
    none = judged.precision(np.zeros((4, 1), dtype=bool), 0)
    assert none[:2] == (0, 0)
    assert str(none[2]) == ""
    assert str(Estimate(0.5, 0.25, 1.0)) == "0.500 (0.250 to 1.000)"


def test_calls_by_hand() -> None:
    before, now = np.array([[False, True, True, False]]), np.array([[True, True, False, False]])
    assert call_by_states(before, now).tolist() == [[0, 1, 2, 3]]
    frequencies = np.array([[0.05, 0.05, 0.1, 0.8]])
    found = call_by_probabilities(np.array([[[0.1, 0.05, 0.05, 0.8]], [[0.05, 0.05, 0.05, 0.85]]]), frequencies)
    assert found.tolist() == [[0], [3]]
    scores = difference_scores(np.array([[0.2]]), np.array([[0.7]]))
    np.testing.assert_allclose(scores, [[[0.5, 0.2, -0.5]]])


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
    main([*arguments, "--output", str(output), "--test", "--device", "cpu"])  # from the stored logits
    assert (output / "changes.md").read_text() == table


def test_the_parameters_are_written_into_the_checkpoint(corpus: Path) -> None:
    folder = write_checkpoint(corpus / "checkpoint", model=tiny_model(tiny_config(findings={"present": THRESHOLDS})))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    arguments = [str(corpus), "--recipe", str(corpus / "tiny.toml"), "--checkpoint", str(folder), "--device", "cpu"]
    main([*arguments, "--output", str(corpus / "out"), "--write"])
    found = load_checkpoint(folder).model.config
    assert found.changes == ChangeConfig.model_validate_json((corpus / "out" / "changes.json").read_text())
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"config.json", "manifest.json"}


def test_patients_of_several_splits_and_their_labels(corpus: Path) -> None:
    folder = write_checkpoint(corpus / "checkpoint")
    found = load_follow_ups(
        str(corpus / "tiny.toml"), corpus, load_checkpoint(folder), cache=corpus / "out", device=torch.device("cpu")
    )
    patients = {split: set(found.patients(split)) for split in ("train", "val", "test")}
    assert set.union(*patients.values()) == {str(number) for number in range(60)}
    assert sum(map(len, patients.values())) == 60
    assert sum(len(pairs) for pairs in found.by_split.values()) == 120
