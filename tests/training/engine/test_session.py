"""Whole runs on a few images: training, stopping, resuming to the same weights, and refusing invalid input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora
from report_gen_training.engine import stage as stages
from report_gen_training.engine.model_building import build_model
from report_gen_training.engine.session import train
from report_gen_training.engine.train_step import Losses
from report_gen_training.recipe.schema import Recipe, StageRecipe
from report_gen_training.run.events import Progress
from safetensors.torch import load_file

from report_gen.drafting import Drafter
from report_gen.errors import CorpusError, RecipeError, UsageError
from report_gen.generation import Decoding, proposals
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.model import load_checkpoint
from report_gen.records import BANNER
from report_gen.tokenizer import BOS_ID, EOS_ID
from tests.builders import (
    CORNERS,
    PROMPT,
    corner_image,
    tiny_recipe,
    write_corner_corpus,
    write_manifest,
    write_png,
)

FINDINGS = chest_xray().findings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corner_corpus(tmp_path_factory.mktemp("data"), copies=3)


def ignore(_: Progress) -> None:
    """A callback that does nothing."""


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def model_of(recipe: Recipe, **changes: Any) -> dict[str, Any]:
    return recipe.model.model_dump() | changes


def read_sections(drafter: Drafter, image: Path) -> tuple[str, ...]:
    report = drafter.draft(read_study(image), decoding=Decoding(max_tokens=60))
    return tuple(section.text for section in report.sections)


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention"])
def test_an_overfitted_model_writes_each_report_from_its_image(conditioning: str, tmp_path: Path) -> None:
    """Only the images differ between the studies, so correct drafts prove that the decoder uses the image."""
    write_corner_corpus(tmp_path)
    plain = tiny_recipe(tmp_path)
    stage = {
        "steps": 200,
        "validate_every": 200,
        "state_dropout": 1.0,
        "indication_dropout": 1.0,
        "finding_weight": 0.0,
        "rates": {"encoder": 1e-3, "projector": 5e-3, "decoder": 5e-3},
    }
    model = model_of(plain, conditioning=conditioning, projector={"patch_tokens": 4, "hidden": 16, "dropout": 0.0})
    drafter = Drafter.load(
        train(tiny_recipe(tmp_path, stage=stage, model=model), tmp_path / "run", resume=False, on_step=ignore)
    )
    for corner, sections in enumerate(CORNERS):
        assert read_sections(drafter, tmp_path / "images" / f"train-{corner}.png") == sections
        swapped = write_png(tmp_path / "swapped" / f"train-{corner}.png", corner_image((corner + 1) % 4))
        assert read_sections(drafter, swapped) == CORNERS[(corner + 1) % 4]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of two stages, first the encoder, then the decoder."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(two_stages(data), folder, resume=False, on_step=ignore)
    return folder


def two_stages(data: Path) -> Recipe:
    recipe = tiny_recipe(data)
    encoder = recipe.stages[0].model_dump() | {
        "name": "image_encoder",
        "finding_weight": 20.0,
        "rates": {"encoder": 1e-3, "projector": 8e-2},
    }
    decoder = recipe.stages[0].model_dump() | {"name": "decoder", "rates": {"decoder": 3e-3}, "assume_absent": 0.5}
    model = model_of(recipe, projector={"patch_tokens": 2, "hidden": 16, "dropout": 0.1})
    return tiny_recipe(
        data,
        stages=[encoder | {"steps": 40, "validate_every": 20, "augment": True}, decoder],
        model=model,
        card="A model of four reports.",
    )


def test_a_run_leaves_a_checkpoint_that_drafts(run: Path, data: Path) -> None:
    checkpoint = load_checkpoint(run / "best")
    report = Drafter.from_checkpoint(checkpoint).draft(
        read_study(data / "images" / "test-1.png"), decoding=Decoding(max_tokens=10)
    )
    assert len(report.findings) == 17
    assert checkpoint.model.config.name == "tiny"
    training = json.loads((run / "best" / "training.json").read_text())
    assert training["recipe"] == two_stages(data).model_dump(mode="json")
    assert training["studies"] == {"images": {"train": 12, "val": 12, "test": 12}}


def test_the_checkpoint_of_a_large_decoder_contains_n_grams_of_the_training_reports(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_checkpoint(run / "best").continuations is None
    monkeypatch.setattr(proposals, "MIN_WEIGHTS", 1)
    recipe = tiny_recipe(data)
    stage = recipe.stages[0].model_dump() | {"steps": 1, "validate_every": 1}
    best = train(tiny_recipe(data, stages=[stage]), tmp_path / "run", resume=False, on_step=ignore)
    checkpoint = load_checkpoint(best)
    assert checkpoint.continuations is not None
    for findings, impression in CORNERS:
        ids = [BOS_ID, *checkpoint.tokenizer.encode(f"FINDINGS: {findings} IMPRESSION: {impression}"), EOS_ID]
        right = [checkpoint.continuations.next_token(ids[:end]) == ids[end] for end in range(2, len(ids))]
        assert sum(right) > len(right) / 2


def test_thresholds_come_from_the_validation_split(run: Path) -> None:
    """A quarter of the 12 studies has each finding: three, the minimum. The other findings never occur."""
    findings = load_checkpoint(run / "best").model.config.findings
    tuned = {name for name, threshold in zip(FINDINGS, findings.present, strict=True) if threshold is not None}
    assert tuned == {"Cardiomegaly", "Pleural Effusion", "Fracture"}
    assert findings.normal == pytest.approx(0.6)


def test_the_model_card_describes_the_run(run: Path) -> None:
    card = (run / "best" / "README.md").read_text()
    assert BANNER in card
    assert "A model of four reports." in card
    assert "| images | 12 | 12 | 12 |" in card
    assert "Findings with a threshold: Cardiomegaly, Pleural Effusion, Fracture." in card


def test_the_log_has_every_step_and_validation(run: Path) -> None:
    records = log(run)
    steps = [(record["stage"], record["step"]) for record in records if record["kind"] == "step"]
    assert steps == [("image_encoder", step) for step in range(1, 41)] + [("decoder", step) for step in range(1, 7)]
    validations = [(record["stage"], record["step"]) for record in records if record["kind"] == "validation"]
    assert validations == [
        ("image_encoder", 0),
        ("image_encoder", 20),
        ("image_encoder", 40),
        *(("decoder", step) for step in (0, 2, 4, 6)),
    ]


def test_the_finding_head_recognizes_the_corners(run: Path, data: Path) -> None:
    drafter = Drafter.load(run / "best")
    names = {0: "Cardiomegaly", 1: "Pleural Effusion", 3: "Fracture"}
    for corner in names:
        report = drafter.draft(read_study(data / "images" / f"test-{corner}.png"), decoding=Decoding(max_tokens=5))
        probabilities = {finding.name: finding.probability or 0.0 for finding in report.findings}
        assert max(names.values(), key=lambda name: probabilities[name]) == names[corner]
        assert probabilities[names[corner]] > 0.5


@pytest.mark.parametrize("stop", [("image_encoder", 29), ("decoder", 5)])
def test_an_interrupted_run_ends_in_the_same_weights(
    run: Path, data: Path, tmp_path: Path, stop: tuple[str, int]
) -> None:
    class Stopped(Exception):  # noqa: N818 - as a user stops a run
        pass

    def on_step(now: Progress) -> None:
        if (now.stage, now.step) == stop:
            raise Stopped

    with pytest.raises(Stopped):
        train(two_stages(data), tmp_path / "run", resume=False, on_step=on_step)
    assert not (tmp_path / "run" / "best").exists()
    torch.manual_seed(99)
    train(two_stages(data), tmp_path / "run", resume=True, on_step=ignore)
    whole, resumed = (load_file(folder / "best" / "model.safetensors") for folder in (run, tmp_path / "run"))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=1e-6, msg=name)


def test_a_finished_run_resumed_writes_the_same_checkpoint(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, stage={"steps": 2})
    best = train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    before = (best / "model.safetensors").read_bytes()
    train(recipe, tmp_path / "run", resume=True, on_step=lambda _: pytest.fail("the run was finished"))
    assert (best / "model.safetensors").read_bytes() == before


def test_the_seed_determines_the_weights(data: Path, tmp_path: Path) -> None:
    digests = []
    for number, seed in enumerate((1, 1, 2)):
        best = train(
            tiny_recipe(data, stage={"steps": 2}, seed=seed), tmp_path / str(number), resume=False, on_step=ignore
        )
        digests.append(load_checkpoint(best).weights_sha256)
    assert digests[0] == digests[1] != digests[2]


def test_every_batch_has_random_numbers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each step would repeat the dropout of the one before."""
    step, seeds = stages.train_step, []

    def record(*arguments: Any, **options: Any) -> Losses:
        if torch.is_grad_enabled():  # not in a validation
            seeds.append(torch.initial_seed())
        return step(*arguments, **options)

    monkeypatch.setattr(stages, "train_step", record)
    recipe = small_recipe(write_corpora(tmp_path, studies=4), stage={"steps": 2, "accumulate": 2})
    train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    assert len(set(seeds)) == len(seeds) == len(recipe.stages) * 2 * 2


def test_a_stage_without_improvement_ends_early_with_its_best_weights(data: Path, tmp_path: Path) -> None:
    rates = {"encoder": 0.0, "projector": 0.0, "decoder": 1e-30}  # too small to move a float
    stage = {"steps": 100, "validate_every": 2, "patience": 3, "rates": rates}
    train(tiny_recipe(data, stage=stage), tmp_path / "run", resume=False, on_step=ignore)
    assert [record["step"] for record in log(tmp_path / "run") if record["kind"] == "validation"] == [0, 2, 4, 6]


def start(recipe: Recipe, best: Path) -> dict[str, torch.Tensor]:
    """Return the initial weights of a run."""
    return build_model(recipe, load_checkpoint(best).tokenizer.vocabulary_size).state_dict()


def test_a_stage_that_only_gets_worse_keeps_the_initial_weights(data: Path, tmp_path: Path) -> None:
    """Also if it is stopped after a validation and resumed."""

    def stop(now: Progress) -> None:
        if now.step == 3:
            raise KeyboardInterrupt

    stage = {"checkpoint_metric": "loss", "warmup": 0.0, "rates": {"decoder": 10.0}}
    recipe = tiny_recipe(data, stage=stage)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", resume=False, on_step=stop)
    best = train(recipe, tmp_path / "run", resume=True, on_step=ignore)
    before = start(recipe, best)
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_file(best / "model.safetensors").items())


def test_the_best_weights_are_kept_not_the_last(data: Path, tmp_path: Path) -> None:
    """The learning rate rises until the model gets worse; the weights after each validation are recorded."""
    after: dict[int, dict[str, torch.Tensor]] = {}

    def on_step(now: Progress) -> None:
        if now.step > 1:
            after[now.step - 1] = load_file(tmp_path / "run" / "last" / "model.safetensors")

    stage = {"steps": 12, "validate_every": 1, "patience": 12, "warmup": 0.9, "rates": {"decoder": 0.5}}
    stage |= {"checkpoint_metric": "loss"}
    best = train(tiny_recipe(data, stage=stage), tmp_path / "run", resume=False, on_step=on_step)
    validations = [record for record in log(tmp_path / "run") if record["kind"] == "validation"]
    weights = {"report": 1.0, "findings": StageRecipe.model_fields["finding_weight"].default}
    for record in validations:
        parts = record["losses"]
        assert record["loss"] == pytest.approx(sum(weights[name] * part for name, part in parts.items()))
    losses = {record["step"]: record["loss"] for record in validations}
    lowest = min(losses, key=lambda step: losses[step])
    assert 1 <= lowest < 12
    assert losses[lowest] < losses[12]
    for name, tensor in load_file(best / "model.safetensors").items():
        assert torch.equal(tensor, after[lowest][name]), name


def test_frozen_parts_keep_their_weights(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, stage={"steps": 2, "rates": {"projector": 1e-2}})
    train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    before = start(recipe, tmp_path / "run" / "best")
    moved = {
        name.split(".")[0]
        for name, tensor in load_file(tmp_path / "run" / "best" / "model.safetensors").items()
        if not torch.equal(tensor, before[name])
    }
    assert moved == {"projector"}


def test_a_loss_that_is_not_finite_ends_the_run_with_one_sentence(data: Path, tmp_path: Path) -> None:
    stage = {"warmup": 0.0, "rates": {"decoder": 1e30}}
    with pytest.raises(
        RecipeError, match=r"stage 'all', step \d+: no finite loss .* the loss is nan; lower the learning rates"
    ):
        train(tiny_recipe(data, stage=stage), tmp_path / "run", resume=False, on_step=ignore)


def test_weights_stored_short_and_bf16(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, stage={"steps": 2}, stored_weights="float16")
    best = train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    assert {tensor.dtype for tensor in load_file(best / "model.safetensors").values()} <= {torch.float16, torch.int64}


def test_a_second_start_in_one_folder_is_refused(run: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="already holds a run; continue it with --resume"):
        train(two_stages(data), run, resume=False, on_step=ignore)


def test_another_recipe_is_not_resumed(run: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="started with another recipe; "):
        train(tiny_recipe(data), run, resume=True, on_step=ignore)


def test_there_must_be_something_to_resume(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        train(tiny_recipe(data), tmp_path / "run", resume=True, on_step=ignore)


def test_a_damaged_run_is_refused_by_file(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, stage={"steps": 2})
    train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    weights = tmp_path / "run" / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UsageError, match=r"model\.safetensors: damaged"):
        train(recipe, tmp_path / "run", resume=True, on_step=ignore)


@pytest.fixture(scope="module")
def stopped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped after a validation."""

    def on_step(now: Progress) -> None:
        if now.step == 3:
            raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe(data), folder, resume=False, on_step=on_step)
    return folder


@pytest.mark.parametrize("name", ["recipe.json", "last/state.json", "last/optimizer.safetensors"])
def test_damaged_records_of_a_run_are_refused_by_file(data: Path, tmp_path: Path, name: str) -> None:
    def on_step(now: Progress) -> None:
        if now.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe(data), tmp_path / "run", resume=False, on_step=on_step)
    (tmp_path / "run" / name).write_bytes(b"{")
    with pytest.raises(UsageError, match=rf"{name}: damaged"):
        train(tiny_recipe(data), tmp_path / "run", resume=True, on_step=ignore)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("stage", 99, "stage = 99, but the recipe has 1 stages"),
        ("step", -5, "progress.step: Input should be greater than or equal to 0"),
        ("step", 5, "validated = 2 does not fit step = 5 and validate_every = 2"),
        ("stale", 5, "stale = 5 does not fit 2 validations and patience = 5"),
    ],
)
def test_a_state_that_contradicts_the_recipe_is_refused(
    stopped: Path, data: Path, tmp_path: Path, entry: str, value: int, message: str
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    record = json.loads((run / "last" / "state.json").read_text())
    record["progress"][entry] = value
    (run / "last" / "state.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=rf"last.*: damaged or of another version \({message}"):
        train(tiny_recipe(data), run, resume=True, on_step=ignore)


def test_a_state_of_another_seed_is_refused(stopped: Path, data: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    (run / "recipe.json").write_text(tiny_recipe(data, seed=1).model_dump_json())
    with pytest.raises(UsageError, match="seed = 0, but the recipe has 1"):
        train(tiny_recipe(data, seed=1), run, resume=True, on_step=ignore)


def test_missing_images_are_reported_before_training(tmp_path: Path) -> None:
    write_corner_corpus(tmp_path)
    (tmp_path / "images" / "train-2.png").unlink()
    with pytest.raises(CorpusError, match=r"1 of 12 images are missing: .*train-2\.png"):
        train(tiny_recipe(tmp_path), tmp_path / "run", resume=False, on_step=ignore)


def test_a_corpus_without_training_studies_is_refused(tmp_path: Path) -> None:
    report = {"findings": "Clear lungs.", "impression": "Normal chest."}
    write_manifest(tmp_path / "images", [{"study_id": "1", "split": "train"} | report])
    write_manifest(tmp_path / "other", [{"study_id": "1", "split": "val"} | report])
    corpora = [{"name": name, "path": name, "use_images": False} for name in ("images", "other")]
    with pytest.raises(CorpusError, match="stage 'all': no training studies in other; check the splits"):
        train(
            tiny_recipe(tmp_path, stage={"corpora": ["other"]}, corpora=corpora),
            tmp_path / "run",
            resume=False,
            on_step=ignore,
        )


def test_without_a_validation_split_the_last_weights_are_kept(tmp_path: Path) -> None:
    write_manifest(tmp_path / "images", [{"study_id": "1", "findings": "Clear lungs.", "impression": "Normal chest."}])
    recipe = tiny_recipe(tmp_path, corpora=[{"name": "images", "path": "images", "use_images": False}])
    best = train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    last = load_file(tmp_path / "run" / "last" / "model.safetensors")
    assert all(torch.equal(tensor, last[name]) for name, tensor in load_file(best / "model.safetensors").items())
    assert set(load_checkpoint(best).model.config.findings.present) == {None}
    assert max(record["step"] for record in log(tmp_path / "run")) == 6


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_other_arithmetic_trains_too(data: Path, tmp_path: Path, precision: str) -> None:
    recipe = tiny_recipe(data, stage={"steps": 2}, precision=precision)
    best = train(recipe, tmp_path / "run", resume=False, on_step=ignore)
    assert {tensor.dtype for tensor in load_file(best / "model.safetensors").values()} <= {torch.float32, torch.int64}
    (chosen,) = (record["bf16"] for record in log(tmp_path / "run") if "bf16" in record)
    assert chosen is True if precision == "bf16" else chosen in (True, False)


def test_a_decoder_too_short_for_its_reports_is_refused(data: Path, tmp_path: Path) -> None:
    model = model_of(tiny_recipe(data), decoder={"width": 32, "layers": 1, "heads": 2, "positions": 40})
    with pytest.raises(RecipeError, match=r"need \d+ positions with begin and end token, but the decoder has 40"):
        train(tiny_recipe(data, model=model), tmp_path / "run", resume=False, on_step=ignore)


def test_a_prompt_file_is_used(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(f"# mine\n{PROMPT.text}\n")
    text = {"prompt": str(tmp_path / "mine.txt"), "vocabulary_size": 200, "max_report_tokens": 60}
    best = train(tiny_recipe(data, stage={"steps": 2}, text=text), tmp_path / "run", resume=False, on_step=ignore)
    assert load_checkpoint(best).prompt == PROMPT


def test_a_stage_that_trains_nothing_is_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="stage 'all' trains nothing; set one of its rates above 0"):
        tiny_recipe(data, stage={"rates": {}})
    assert issubclass(RecipeError, UsageError)
