"""Texts from token ids: repetitions, confidence of each sentence, and the most faithful candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from report_gen.generation import Decoding, generate
from report_gen.generation import generate as writing
from report_gen.generation.decoding import Generated
from report_gen.generation.generate import compose
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingState
from report_gen.records.report import AttributeName, SectionName
from tests.builders import tiny_checkpoint, tokenizer

FINDINGS = chest_xray().findings

UNKNOWN = [FindingState.UNKNOWN] * len(FINDINGS)
STOPS_AND_BLANKS = [i for piece in ("a .", "A. B!", ") ", "IMPRESSION: x") for i in tokenizer().encode(piece)]
TOLD = [FindingState.PRESENT if name == "Pleural Effusion" else FindingState.UNKNOWN for name in FINDINGS]


def generated(text: str, probability: float = 0.5) -> Generated:
    ids = tokenizer().encode(text)
    return Generated(tuple(ids), (probability,) * len(ids))


def test_sections_and_sentences() -> None:
    written = compose(generated("FINDINGS: The heart is enlarged. No effusion. IMPRESSION: Cardiomegaly."), tokenizer())
    findings, impression = written.sections
    assert (findings.name, impression.name) == (SectionName.FINDINGS, SectionName.IMPRESSION)
    assert [sentence.text for sentence in findings.sentences] == ["The heart is enlarged.", "No effusion."]
    assert written.text == "The heart is enlarged. No effusion.\nCardiomegaly."


def test_a_sentence_is_said_once_a_section() -> None:
    said = "FINDINGS: No effusion. The heart is enlarged. No effusion. No effusion. IMPRESSION: No effusion."
    written = compose(generated(said), tokenizer())
    assert [section.text for section in written.sections] == ["No effusion. The heart is enlarged.", "No effusion."]


def test_confidence_is_the_geometric_mean_of_the_sentences_tokens() -> None:
    pieces = ["FINDINGS:", "The heart is enlarged.", "No effusion.", "IMPRESSION:", "Cardiomegaly."]
    chances = [0.1, 0.8, 0.4, 0.1, 0.9]
    ids, probabilities = [], []
    for piece, chance in zip(pieces, chances, strict=True):
        encoded = tokenizer().encode(piece)
        ids += encoded
        probabilities += [chance] * len(encoded)
    probabilities[-1] = 0.2
    written = compose(Generated(tuple(ids), tuple(probabilities)), tokenizer())
    first, second, third = (sentence for section in written.sections for sentence in section.sentences)
    assert first.confidence == pytest.approx(0.8)
    assert second.confidence == pytest.approx(0.4)
    count = len(tokenizer().encode("Cardiomegaly."))
    assert third.confidence == pytest.approx(math.exp((math.log(0.9) * (count - 1) + math.log(0.2)) / count))


def test_the_confidence_of_a_repeated_sentence_is_that_of_the_first() -> None:
    first, second = generated("No effusion.", 0.9), generated("No effusion.", 0.1)
    both = Generated(first.token_ids + second.token_ids, first.probabilities + second.probabilities)
    ((sentence,),) = (section.sentences for section in compose(both, tokenizer()).sections)
    assert sentence.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_confidence_stays_in_its_range(probability: float) -> None:
    ((sentence,),) = (section.sentences for section in compose(generated("Clear.", probability), tokenizer()).sections)
    assert sentence.confidence == pytest.approx(probability, abs=1e-6)


def test_nothing_written_is_no_section() -> None:
    assert compose(Generated((), ()), tokenizer()).sections == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, tokenizer().vocabulary_size - 1) | st.sampled_from(STOPS_AND_BLANKS), max_size=30))
def test_whatever_a_model_writes_is_composed(ids: list[int]) -> None:
    written = compose(Generated(tuple(ids), (0.5,) * len(ids)), tokenizer())
    for section in written.sections:
        texts = [sentence.text for sentence in section.sentences]
        assert len(set(texts)) == len(texts)
        assert all(sentence.confidence == pytest.approx(0.5) for sentence in section.sentences)


def visual(rows: int) -> dict[str, torch.Tensor]:
    tokens = torch.randn(rows, 4, 32, generator=torch.Generator().manual_seed(0))
    return {"visual_tokens": tokens, "visual_mask": torch.ones(rows, 4, dtype=torch.bool)}


def test_what_is_sampled_for_a_study_does_not_depend_on_its_neighbours() -> None:
    checkpoint, decoding = tiny_checkpoint(), Decoding(method="sample", max_tokens=12, candidates=3)
    everything = visual(3)
    prompts, states = [[10], [20, 21], [30]], [TOLD] * 3
    together = generate(checkpoint, **everything, prompt_ids=prompts, states=states, decoding=decoding)
    for row in range(3):
        one = {name: tensor[row : row + 1] for name, tensor in everything.items()}
        (alone,) = generate(checkpoint, **one, prompt_ids=[prompts[row]], states=[TOLD], decoding=decoding)
        assert alone.text == together[row].text


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the decoder writes, by method, in place of what it would; `calls` lists the rows of every call."""
    written: dict[str, list[str]] = {"greedy": [], "sample": [], "calls": []}

    def stub(model: object, *, prompt_ids: list[list[int]], decoding: Decoding, **_: object) -> list[Generated]:
        written["calls"].append(f"{decoding.method} {decoding.seed}: {len(prompt_ids)}")
        return [generated(text) for text in written[decoding.method][: len(prompt_ids)]]

    monkeypatch.setattr(writing, "generate_ids", stub)
    return written


def choose(
    rows: int = 1,
    candidates: int = 4,
    *,
    states: Sequence[FindingState] = TOLD,
    told: Mapping[AttributeName, str] = MappingProxyType({}),
) -> list[str]:
    return [
        written.text
        for written in generate(
            tiny_checkpoint(),
            **visual(rows),
            prompt_ids=[[9]] * rows,
            states=[states] * rows,
            attributes=[told] * rows,
            decoding=Decoding(candidates=candidates, seed=5),
        )
    ]


def test_the_most_faithful_candidate_is_chosen(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion."]
    texts["sample"] = ["The heart is enlarged.", "Small pleural effusion.", "Left pleural effusion."]
    assert choose() == ["Small pleural effusion."]
    assert texts["calls"] == ["greedy 5: 1", "sample 6: 3"]


def test_a_faithful_text_has_no_rivals(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["Small pleural effusion.", "Left pleural effusion."]
    assert choose(rows=2) == texts["greedy"]
    assert texts["calls"] == ["greedy 5: 2"]


def test_among_equals_the_text_by_method_stands(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion."]
    texts["sample"] = ["No effusion."] * 3
    assert choose() == ["No pleural effusion."]


def test_one_candidate_is_taken_as_it_is(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion."]
    assert choose(candidates=1) == ["No pleural effusion."]
    assert texts["calls"] == ["greedy 5: 1"]


def test_without_states_the_text_that_most_samples_agree_with_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(["An odd text.", "The heart is large.", "The heart is large.", "Nothing is alike here."])

    def draw(*_: object, prompt_ids: list[list[int]], **__: object) -> list[Generated]:
        return [generated(next(said)) for _ in prompt_ids]

    monkeypatch.setattr(writing, "generate_ids", draw)
    (written,) = generate(
        tiny_checkpoint(),
        visual_tokens=torch.zeros(1, 17, 32),
        visual_mask=torch.ones(1, 17, dtype=torch.bool),
        prompt_ids=[[5]],
        states=[UNKNOWN],
        decoding=Decoding(candidates=4),
    )
    assert written.text == "The heart is large."


def test_a_text_that_names_another_modality_loses_to_those_that_do_not(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["MRI: small pleural effusion."]
    texts["sample"] = ["Small pleural effusion.", "CT: effusion.", "MRI: effusion."]
    assert choose(told={"modality": "CT"}) == ["Small pleural effusion."]
    assert choose(told={"modality": "MR"}) == ["MRI: small pleural effusion."]
    texts["sample"] = ["MRI: a cyst.", "CT: a cyst.", "CT: cysts are."]
    texts["greedy"] = ["MRI: a cyst."]
    assert choose(states=UNKNOWN) == ["MRI: a cyst."]  # which most agree with
    assert choose(states=UNKNOWN, told={"modality": "CT"}) == ["CT: a cyst."]
