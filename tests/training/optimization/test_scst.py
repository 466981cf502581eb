"""Self-critical training: samples of the model, independent of the batch, and steps that raise the reward."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data.batches import IGNORED, Batch, BatchDataset
from report_gen_training.data.corpus_study import unknown_labels
from report_gen_training.data.examples import TrainingExample
from report_gen_training.data.image_cache import cache_images
from report_gen_training.engine.train_step import train_step
from report_gen_training.optimization.objectives import NON_REPORT_TOKENS, policy_loss
from report_gen_training.optimization.optimizer import build_optimizer, set_rates, set_train_mode
from report_gen_training.optimization.rewards import rewards, training_frequencies
from report_gen_training.optimization.scst import Sampled, sample_drafts, self_critical_loss
from report_gen_training.recipe.schema import AugmentationRecipe, ScstRecipe, StageRecipe
from report_gen_training.run.events import ignore_progress

from report_gen.generation import Decoding, generate_tokens
from report_gen.imaging.transform import ImageTransform
from report_gen.labeling import chest_xray
from report_gen.model import ReportModel
from report_gen.records import LOCATION_PARTS
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tests.builders import REPORTS, SIZE, store, tiny_config, tiny_model, tokenizer

NORMAL, ABNORMAL = "No pneumothorax.", "There is a pneumothorax."
FREQUENCIES = training_frequencies(REPORTS)
REWARD = ScstRecipe(weight=1.0, finding_f1_weight=1.0, cider_weight=0.0)


def example(report: str, prompt: str = "Chest.") -> TrainingExample:
    ids = tuple(tokenizer().encode(prompt))
    return TrainingExample(
        labels=unknown_labels(chest_xray()),
        study_id="",
        patient_id="",
        images=(),
        views=(),
        prompts=(ids, ids, ids, ids),
        report_ids=tuple(tokenizer().encode(report)),
        abnormal=(False,) * len(tokenizer().encode(report)),
        reference=report,
        states=np.full(17, 3),
        locations=np.zeros((17, 5), dtype=np.bool_),
        targets=np.full(17, np.nan, dtype=np.float32),
        location_targets=np.full((17, len(LOCATION_PARTS)), np.nan, dtype=np.float32),
    )


def stage(**changes: Any) -> StageRecipe:
    values = {"name": "s", "corpora": ("c",), "steps": 60, "rates": {"decoder": 3e-3}, "scst": REWARD}
    return StageRecipe.model_validate(values | {"assume_absent": 0.0, "warmup": 0.0} | changes)


def batch(*examples: TrainingExample) -> Batch:
    transform = ImageTransform(size=SIZE, channels=1, mean=0.5, std=0.5)
    images, _ = cache_images(Path("nowhere"), (), transform, on_progress=ignore_progress)
    groups, augmentation = [store(*examples)], AugmentationRecipe()
    items = BatchDataset(groups, stage(), transform, images=images, augmentation=augmentation, training=False)
    return next(items.validation_batches(batch_size=len(examples)))


def with_images(texts: Batch, seed: int = 0) -> Batch:
    studies, generator = len(texts.labels), torch.Generator().manual_seed(seed)
    return texts._replace(
        pixel_values=torch.randn(studies, 1, 1, SIZE, SIZE, generator=generator),
        view_positions=torch.zeros(studies, 1, dtype=torch.long),
        view_mask=torch.ones(studies, 1, dtype=torch.bool),
    )


def rows(given: Batch, chosen: slice) -> Batch:
    return Batch(*(field[chosen] for field in given))


def sample(model: ReportModel, given: Batch, **changes: Any) -> Sampled:
    values: dict[str, Any] = {"max_report_tokens": 12, "seed": 3}
    reward = changes.pop("reward", REWARD)
    return sample_drafts(model, given, tokenizer(), reward, FREQUENCIES, **values | changes)


def drafts(sampled: Sampled) -> list[list[int]]:
    return [[token for token in row if token != IGNORED] for row in sampled.labels.tolist()]


FOUR = (example(REPORTS[0], "Chest."), example(REPORTS[1], "PA and lateral"), example(REPORTS[2]), example(REPORTS[3]))


@pytest.fixture(params=["prefix", "cross_attention", "numbers"])
def model(request: pytest.FixtureRequest) -> ReportModel:
    return tiny_model(tiny_config(conditioning=request.param))


def test_a_sampled_draft_follows_its_prompt(model: ReportModel) -> None:
    given = with_images(batch(*FOUR))
    found = sample(model, given)
    length = given.labels.shape[1]
    own = found.input_ids[:4, :length] * found.attention_mask[:4, :length]
    assert torch.equal(own, given.input_ids * given.attention_mask)
    for row, (text, draft) in enumerate(zip(FOUR, drafts(found), strict=True)):
        whole = [*text.prompts[0], BOS_ID, *draft]
        ids, mask = found.input_ids[4 + row].tolist(), found.attention_mask[4 + row].tolist()
        assert ids == [*whole, *[PAD_ID] * (len(ids) - len(whole))]
        assert mask == [1] * len(whole) + [0] * (len(ids) - len(whole))
        assert not set(draft) & set(NON_REPORT_TOKENS)
        assert draft.index(EOS_ID) == len(draft) - 1 if EOS_ID in draft else len(draft) == 13


def test_at_temperature_zero_the_sample_is_the_greedy_draft(model: ReportModel) -> None:
    """The greedy draft is the one of drafting, so its advantage is 0."""
    given = with_images(batch(*FOUR))
    found = sample(model, given, reward=ScstRecipe(weight=1, temperature=1e-6))
    visual = model.encode_images(given.pixel_values, given.view_positions, given.view_mask)
    tokens, mask = model.visual_tokens(given.finding_states, visual)
    prompts = [list(text.prompts[0]) for text in FOUR]
    expected = generate_tokens(
        model, visual_tokens=tokens, visual_mask=mask, prompt_ids=prompts, decoding=Decoding(max_tokens=13)
    )
    assert [[token for token in draft if token != EOS_ID] for draft in drafts(found)] == [
        list(text.token_ids) for text in expected
    ]
    assert found.advantages.tolist() == [0.0] * 4


def test_advantages_are_differences_to_the_rewards_of_the_greedy_drafts(model: ReportModel) -> None:
    given, both = batch(*FOUR), ScstRecipe(weight=1, finding_f1_weight=1.0, cider_weight=1.0)
    found = sample(model, given, reward=both)
    cold = sample(model, given, reward=both.model_copy(update={"temperature": 1e-6}))
    texts = [[tokenizer().decode(ids) for ids in drafts(each)] for each in (found, cold)]
    references = [tokenizer().decode(tokenizer().encode(report)) for report in REPORTS]
    sampled, greedy = (rewards(each, references, both, FREQUENCIES, chest_xray()) for each in texts)
    assert found.advantages.tolist() == pytest.approx((sampled - greedy).tolist())
    assert found.reward == pytest.approx(sampled.mean())


def test_a_draft_depends_neither_on_its_batch_nor_on_the_number_of_processes(model: ReportModel) -> None:
    given = with_images(batch(*FOUR))
    together = drafts(sample(model, given))
    assert drafts(sample(model, rows(given, slice(0, 1)))) == together[:1]
    for rank in range(2):
        mine = rows(given, slice(rank, None, 2))
        assert drafts(sample(model, mine, rank=rank, processes=2)) == together[rank::2]


def test_the_seed_decides(model: ReportModel) -> None:
    given = batch(*FOUR)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = drafts(sample(model, given))
    assert torch.equal(torch.get_rng_state(), before)
    assert drafts(sample(model, given)) == first
    assert drafts(sample(model, given, seed=4)) != first


def test_samples_have_the_distribution_of_the_model() -> None:
    """First tokens of 2,000 drafts of one study against their probabilities at a temperature."""
    model = tiny_model()
    given, temperature = batch(*[example(NORMAL)] * 2000), 0.5
    warm = ScstRecipe(weight=1, temperature=temperature)
    found = Counter(draft[0] for draft in drafts(sample(model, given, max_report_tokens=1, reward=warm)))
    with torch.no_grad():
        one = rows(given, slice(0, 1))
        tokens, mask = model.visual_tokens(one.finding_states, None)
        begun = one.input_ids[:, : one.input_ids[0].tolist().index(BOS_ID) + 1]
        logits = model.decoder(tokens, mask, begun, torch.ones_like(begun))[0, -1] / temperature
    logits[list(NON_REPORT_TOKENS)] = -torch.inf
    probabilities = logits.softmax(-1).double().numpy()
    counts = np.array([found[token] for token in range(len(probabilities))])
    likely = probabilities > 0.005
    assert likely.sum() > 5
    expected = 2000 * np.append(probabilities[likely], probabilities[~likely].sum())
    chi_squared = (np.append(counts[likely], counts[~likely].sum()) - expected) ** 2 / expected
    degrees = len(expected) - 1
    assert chi_squared.sum() < degrees + 4 * (2 * degrees) ** 0.5  # chi-squared, four deviations


def test_sampling_changes_neither_modes_nor_gradients(model: ReportModel) -> None:
    recipe = stage(rates={"projector": 1e-3})
    build_optimizer(model, recipe)
    set_train_mode(model, recipe.rates)
    modes = [module.training for module in model.modules()]
    assert True in modes
    assert False in modes
    sample(model, with_images(batch(*FOUR)))
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_forward_pass_gives_the_loss_of_reports_and_of_drafts(model: ReportModel) -> None:
    """The loss is the sum of the losses of each half."""
    given, recipe = with_images(batch(*FOUR)), stage(scst=REWARD.model_copy(update={"weight": 0.3}))
    found = replace(sample(model, given), advantages=torch.tensor([1.0, -0.5, 0.25, 2.0]))
    together = train_step(model, given, recipe, sampled=found).total
    alone = train_step(model, given, recipe).total
    drafted = given._replace(input_ids=found.input_ids[4:], attention_mask=found.attention_mask[4:])
    fields = ("pixel_values", "view_positions", "view_mask", "input_ids", "attention_mask", "finding_states")
    logits = model(**{name: getattr(drafted, name) for name in fields}).logits
    tokens = (given.labels != IGNORED).sum()
    policy = policy_loss(logits, found.labels, found.advantages, temperature=1.0, tokens=tokens)
    assert float(together.detach()) == pytest.approx(float((alone + 0.3 * policy).detach()), rel=1e-5)


def test_a_few_steps_raise_the_expected_reward() -> None:
    """A model trained on as many normal as abnormal reports is rewarded for abnormal ones only."""
    model = tiny_model(tiny_config(decoder={"width": 32, "layers": 1, "heads": 2, "positions": 64, "dropout": 0.0}))
    both_kinds = batch(*[example(NORMAL), example(ABNORMAL)] * 4)
    recipe = stage()
    optimizer = build_optimizer(model, recipe)
    set_train_mode(model, recipe.rates)
    for step in range(60):
        descend(optimizer, recipe, step, train_step(model, both_kinds, recipe).total)
    truth = batch(*[example(ABNORMAL)] * 16)
    before = expected_reward(model, truth)
    assert 0.2 < before < 0.75
    for step in range(25):
        found = sample(model, truth, seed=step)
        logits = model(**{name: getattr(truth, name) for name in INPUTS} | draft_inputs(found)).logits
        descend(optimizer, recipe, step, self_critical_loss(logits, found, truth, REWARD))
    assert expected_reward(model, truth) > before + 0.2


INPUTS = ("pixel_values", "view_positions", "view_mask", "finding_states")


def draft_inputs(found: Sampled) -> dict[str, torch.Tensor]:
    return {"input_ids": found.input_ids, "attention_mask": found.attention_mask}


def descend(optimizer: torch.optim.Optimizer, recipe: StageRecipe, step: int, loss: torch.Tensor) -> None:
    set_rates(optimizer, recipe, step)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def expected_reward(model: ReportModel, given: Batch) -> float:
    return float(np.mean([sample(model, given, seed=1000 + draw).reward for draw in range(4)]))
