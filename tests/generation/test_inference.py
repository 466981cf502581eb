"""Texts from token ids: sections, repetitions, confidence of each sentence, and the choice among candidates."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from report_gen.generation import Decoding, GeneratedTokens, generate_texts, inference, study_generator
from report_gen.generation.text_composing import compose_text
from report_gen.generation.tokens import TokenGenerator, TokenRequest
from report_gen.labeling import chest_xray
from report_gen.records import AttributeName, FindingState, SectionName
from tests.builders import tiny_checkpoint, tokenizer

FINDINGS = chest_xray().findings
UNKNOWN = [FindingState.UNKNOWN] * len(FINDINGS)
STOPS_AND_BLANKS = [i for piece in ("a .", "A. B!", ") ", "IMPRESSION: x") for i in tokenizer().encode(piece)]
EFFUSION = [FindingState.PRESENT if name == "Pleural Effusion" else FindingState.UNKNOWN for name in FINDINGS]


def tokens_of(text: str, probability: float = 0.5) -> GeneratedTokens:
    ids = tokenizer().encode(text)
    return GeneratedTokens(tuple(ids), (probability,) * len(ids))


def test_sections_and_sentences() -> None:
    composed = compose_text(
        tokens_of("FINDINGS: The heart is enlarged. No effusion. IMPRESSION: Cardiomegaly."), tokenizer()
    )
    findings, impression = composed.sections
    assert (findings.name, impression.name) == (SectionName.FINDINGS, SectionName.IMPRESSION)
    assert [sentence.text for sentence in findings.sentences] == ["The heart is enlarged.", "No effusion."]
    assert composed.text == "The heart is enlarged. No effusion.\nCardiomegaly."


def test_a_sentence_is_kept_once_per_section() -> None:
    text = "FINDINGS: No effusion. The heart is enlarged. No effusion. No effusion. IMPRESSION: No effusion."
    composed = compose_text(tokens_of(text), tokenizer())
    assert [section.text for section in composed.sections] == ["No effusion. The heart is enlarged.", "No effusion."]


def test_confidence_is_the_geometric_mean_of_the_sentences_tokens() -> None:
    pieces = ["FINDINGS:", "The heart is enlarged.", "No effusion.", "IMPRESSION:", "Cardiomegaly."]
    values = [0.1, 0.8, 0.4, 0.1, 0.9]
    ids, probabilities = [], []
    for piece, value in zip(pieces, values, strict=True):
        encoded = tokenizer().encode(piece)
        ids += encoded
        probabilities += [value] * len(encoded)
    probabilities[-1] = 0.2
    composed = compose_text(GeneratedTokens(tuple(ids), tuple(probabilities)), tokenizer())
    first, second, third = (sentence for section in composed.sections for sentence in section.sentences)
    assert first.confidence == pytest.approx(0.8)
    assert second.confidence == pytest.approx(0.4)
    count = len(tokenizer().encode("Cardiomegaly."))
    assert third.confidence == pytest.approx(math.exp((math.log(0.9) * (count - 1) + math.log(0.2)) / count))


def test_the_confidence_of_a_repeated_sentence_is_that_of_the_first() -> None:
    first, second = tokens_of("No effusion.", 0.9), tokens_of("No effusion.", 0.1)
    both = GeneratedTokens(first.token_ids + second.token_ids, first.probabilities + second.probabilities)
    ((sentence,),) = (section.sentences for section in compose_text(both, tokenizer()).sections)
    assert sentence.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_confidence_stays_in_its_range(probability: float) -> None:
    ((sentence,),) = (
        section.sentences for section in compose_text(tokens_of("Clear.", probability), tokenizer()).sections
    )
    assert sentence.confidence == pytest.approx(probability, abs=1e-6)


def test_a_word_with_an_improbable_continuation_is_doubtful() -> None:
    ids = tokenizer().encode("The zypical heart.")
    ends = [len(tokenizer().decode(ids[: count + 1])) for count in range(len(ids))]
    starts = [0, *ends[:-1]]
    inside = [n for n, start in enumerate(starts) if len("The z") <= start < len("The zypical")]
    assert len(inside) > 1  # the vocabulary does not know the word
    for improbable, count in ((inside[:1], 1), (inside, 1), ([0, len(ids) - 1], 0), ([], 0)):
        probabilities = tuple(0.1 if n in improbable else 0.9 for n in range(len(ids)))
        assert compose_text(GeneratedTokens(tuple(ids), probabilities), tokenizer()).doubtful_words == count


def test_an_empty_text_has_no_sections() -> None:
    assert compose_text(GeneratedTokens((), ()), tokenizer()).sections == ()


@settings(max_examples=200)
@given(st.lists(st.integers(0, tokenizer().vocabulary_size - 1) | st.sampled_from(STOPS_AND_BLANKS), max_size=30))
def test_any_token_ids_can_be_composed(ids: list[int]) -> None:
    composed = compose_text(GeneratedTokens(tuple(ids), (0.5,) * len(ids)), tokenizer())
    for section in composed.sections:
        texts = [sentence.text for sentence in section.sentences]
        assert len(set(texts)) == len(texts)
        assert all(sentence.confidence == pytest.approx(0.5) for sentence in section.sentences)


def visual(rows: int) -> dict[str, torch.Tensor]:
    tokens = torch.randn(rows, 4, 32, generator=torch.Generator().manual_seed(0))
    return {"visual_tokens": tokens, "visual_mask": torch.ones(rows, 4, dtype=torch.bool)}


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
@pytest.mark.parametrize("states", [EFFUSION, UNKNOWN], ids=["known", "unknown"])
def test_a_text_does_not_depend_on_batch_or_order(method: Any, states: Sequence[FindingState]) -> None:
    checkpoint, decoding = tiny_checkpoint(), Decoding(method=method, beams=2, max_tokens=12, candidates=3)
    inputs, prompts = visual(3), [[10], [20, 21], [30]]

    def generate(rows: list[int]) -> list[str]:
        texts = generate_texts(
            checkpoint,
            **{name: tensor[rows] for name, tensor in inputs.items()},
            prompt_ids=[prompts[row] for row in rows],
            states=[states] * len(rows),
            decoding=decoding,
            generators=[study_generator(decoding.seed, row) for row in rows],
        )
        return [text.text for text in texts]

    together = generate([0, 1, 2])
    assert len(set(together)) == 3
    assert [generate([row])[0] for row in range(3)] == together
    assert generate([2, 0, 1]) == [together[2], together[0], together[1]]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Texts that replace those of the decoder, by method; `calls` lists method and rows of every call."""
    replaced: dict[str, list[str]] = {"greedy": [], "sample": [], "calls": []}

    class Stub(TokenGenerator):
        def generate(self, request: TokenRequest) -> list[GeneratedTokens]:
            method = request.decoding.method
            replaced["calls"].append(f"{method}: {len(request.studies)}")
            return [tokens_of(text) for text in replaced[method][: len(request.studies)]]

    monkeypatch.setattr(inference, "token_generator", lambda *_: Stub())
    return replaced


def choose(
    rows: int = 1,
    *,
    decoding: Decoding = Decoding(candidates=4),  # noqa: B008 - frozen
    states: Sequence[FindingState] = EFFUSION,
    attributes: Mapping[AttributeName, str] = MappingProxyType({}),
    stated: Mapping[AttributeName, str] = MappingProxyType({}),
    unnamed: Collection[AttributeName] = (),
) -> list[str]:
    generated = generate_texts(
        tiny_checkpoint(),
        **visual(rows),
        prompt_ids=[[9]] * rows,
        states=[states] * rows,
        attributes=[attributes] * rows,
        stated=[stated] * rows,
        unnamed=[unnamed] * rows,
        decoding=decoding,
        generators=[study_generator(0, row) for row in range(rows)],
    )
    return [text.text for text in generated]


def test_the_most_consistent_candidate_is_kept(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion."]
    texts["sample"] = ["The heart is enlarged.", "Small pleural effusion.", "Left pleural effusion."]
    assert choose() == ["Small pleural effusion."]
    assert texts["calls"] == ["greedy: 1", "sample: 3"]


def test_a_candidate_that_contradicts_the_header_is_not_kept(texts: dict[str, list[str]]) -> None:
    """The first text states the effusion, as the second does, but also names a kidney in a chest."""
    texts["greedy"] = ["Pleural effusion and a cyst of the kidney."]
    texts["sample"] = ["Pleural effusion and a cyst of the lung."] * 3
    assert choose(stated={"body_part": "chest"}) == ["Pleural effusion and a cyst of the lung."]
    assert choose() == ["Pleural effusion and a cyst of the kidney."]


def test_a_candidate_without_an_uncertain_attribute_has_precedence(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["Small pleural effusion on CT."]
    texts["sample"] = ["Small pleural effusion on MRI.", "Left pleural effusion.", "Left pleural effusion on CT."]
    assert choose(unnamed={"modality"}) == ["Left pleural effusion."]
    assert choose(unnamed={"plane"}) == texts["greedy"]


def test_a_candidate_that_contradicts_no_certain_attribute_has_precedence(texts: dict[str, list[str]]) -> None:
    """The other ones also fit the findings better or name the predicted value first."""
    texts["greedy"] = ["Pleural effusion of the chest and a cyst of the kidney."]
    texts["sample"] = ["Pleural effusion beside the brain.", "A cyst of the lung.", "A kidney."]
    predicted: dict[AttributeName, str] = {"body_part": "chest", "modality": "CT"}
    assert choose(attributes=predicted) == ["A cyst of the lung."]
    assert texts["calls"] == ["greedy: 1", "sample: 3"]
    # A predicted value that is uncertain contradicts no candidate; the finding decides.
    texts["greedy"] = ["An effusion on MRI."]
    texts["sample"] = ["MRI: a cyst.", "CT: no effusion.", "A cyst on MRI."]
    assert choose(attributes=predicted) == ["CT: no effusion."]
    assert choose(attributes=predicted, unnamed={"modality"}) == ["An effusion on MRI."]


def test_no_candidate_is_refused_if_all_contradict_a_certain_attribute(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["A cyst of the kidney."]
    texts["sample"] = ["Axial MRI: effusion beside the brain.", "Pleural effusion, brain.", "Brain on MRI."]
    assert choose(attributes={"body_part": "chest", "modality": "CT"}) == ["Pleural effusion, brain."]


def test_sentences_that_contradict_the_header_are_removed(texts: dict[str, list[str]]) -> None:
    decoding = Decoding(remove_unsupported=True)
    texts["greedy"] = ["Small pleural effusion. Pleural effusion beside the kidney."]
    (kept,) = choose(stated={"body_part": "chest"}, decoding=decoding)
    assert kept == "Small pleural effusion."
    assert choose(decoding=decoding) == texts["greedy"]


def test_a_consistent_text_needs_no_candidates(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["Small pleural effusion.", "Left pleural effusion."]
    assert choose(rows=2) == texts["greedy"]
    assert texts["calls"] == ["greedy: 2"]


def test_candidates_of_a_batch_are_sampled_in_one_call_and_stay_with_their_study(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion.", "Left pleural effusion.", "The lungs are clear."]
    texts["sample"] = ["Edema.", "Small pleural effusion.", "Edema.", "Edema.", "Edema.", "Large pleural effusion."]
    assert choose(rows=3) == ["Small pleural effusion.", "Left pleural effusion.", "Large pleural effusion."]
    assert texts["calls"] == ["greedy: 3", "sample: 6"]


def test_sampled_candidates_all_come_from_one_call(texts: dict[str, list[str]]) -> None:
    texts["sample"] = ["Edema.", "Small pleural effusion.", "Left pleural effusion.", "Edema."]
    assert choose(rows=2, decoding=Decoding(method="sample", candidates=2)) == [
        "Small pleural effusion.",
        "Left pleural effusion.",
    ]
    assert texts["calls"] == ["sample: 4"]


def test_among_equally_consistent_texts_the_first_is_kept(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion."]
    texts["sample"] = ["No effusion."] * 3
    assert choose() == ["No pleural effusion."]


def test_a_single_candidate_is_kept_as_it_is(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["No pleural effusion."]
    assert choose(decoding=Decoding()) == ["No pleural effusion."]
    assert texts["calls"] == ["greedy: 1"]


def test_without_known_states_the_text_that_most_samples_agree_with_is_kept(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["An odd text."]
    texts["sample"] = ["The heart is large.", "The heart is large.", "Nothing is alike here."]
    assert choose(states=UNKNOWN) == ["The heart is large."]


def test_a_text_that_names_another_modality_is_not_kept(texts: dict[str, list[str]]) -> None:
    texts["greedy"] = ["MRI: small pleural effusion."]
    texts["sample"] = ["Small pleural effusion.", "CT: effusion.", "MRI: effusion."]
    assert choose(attributes={"modality": "CT"}) == ["Small pleural effusion."]
    assert choose(attributes={"modality": "MR"}) == ["MRI: small pleural effusion."]
    texts["sample"] = ["MRI: a cyst.", "CT: a cyst.", "CT: cysts are."]
    texts["greedy"] = ["MRI: a cyst."]
    assert choose(states=UNKNOWN) == ["MRI: a cyst."]  # most of the others agree with it
    assert choose(states=UNKNOWN, attributes={"modality": "CT"}) == ["CT: a cyst."]


@pytest.mark.parametrize("remove", [True, False])
def test_unsupported_sentences_are_removed_only_if_the_decoding_says_so(
    remove: bool, texts: dict[str, list[str]]
) -> None:
    texts["greedy"] = ["Small pleural effusion. A chest tube is seen."]
    decoding = Decoding(remove_unsupported=remove)
    assert choose(decoding=decoding) == ["Small pleural effusion." if remove else texts["greedy"][0]]
