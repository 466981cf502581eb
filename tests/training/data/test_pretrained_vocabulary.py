"""The tokenizer of a pretrained decoder in a recipe: whole, cut to the reports, and trained end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.data.preparation import prepare
from report_gen_training.data.pretrained_vocabulary import keep_vocabulary, token_rows
from report_gen_training.data.vocabulary import PatientText
from report_gen_training.engine import build_model, describe_decoder, train
from report_gen_training.recipe import ModelRecipe
from report_gen_training.recipe.schema import Recipe
from report_gen_training.run import Run, ignore_progress

from report_gen.errors import CheckpointError, CorpusError
from report_gen.model import load_checkpoint
from report_gen.prompting import load_prompt
from report_gen.tokenizer import PretrainedTokenizer
from tests.builders import GPT2, LLAMA, patient_texts, tiny_recipe, write_corner_corpus
from tests.pretrained_models import REPORT_SENTENCES, SENTENCES, lower_case_word_piece, write_pretrained


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pretrained models with tokenizers, by their type."""
    folders = {}
    for kind, transformer in {"gpt2": GPT2 | {"n_positions": 200}, "llama": LLAMA}.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        write_pretrained(folders[kind], transformer | ({"max_position_embeddings": 200} if kind == "llama" else {}))
    return folders


def recipe(data: Path, folder: Path, tokenizer: str, lora: dict[str, int] | None = None, **changes: Any) -> Recipe:
    plain = tiny_recipe(data, **changes)
    changed = {"decoder_weights": str(folder), "decoder": {"tokenizer": tokenizer}, "lora": lora}
    model = plain.model.model_dump() | changed
    return Recipe.model_validate(plain.model_dump() | {"model": model})


def keep(folder: Path, tokenizer: str, texts: list[PatientText], **arguments: Any) -> PretrainedTokenizer:
    return keep_vocabulary(recipe(folder, folder, tokenizer).model, texts, **arguments)


def pieces(tokenizer: PretrainedTokenizer, text: str) -> list[str]:
    return [tokenizer.pieces[number] for number in tokenizer.encode(text)]


def test_a_cut_encodes_the_texts_as_before(weights: dict[str, Path]) -> None:
    whole = keep(weights["gpt2"], "pretrained", [])
    cut = keep(weights["gpt2"], "pretrained-cut", patient_texts(REPORT_SENTENCES))
    assert all(pieces(cut, text) == pieces(whole, text) for text in REPORT_SENTENCES)
    assert all(cut.decode(cut.encode(text)) == text for text in (*SENTENCES, "Größe: 3 µm, 心臓"))
    assert 260 < cut.vocabulary_size < whole.vocabulary_size


def test_a_word_of_few_patients_keeps_no_token(weights: dict[str, Path]) -> None:
    frequent = [PatientText("The heart is enlarged.", f"p{number}") for number in range(5)]
    rare = [PatientText("The heart of football.", f"p{number}") for number in range(4)]
    made_up = [PatientText("The heart of football.", "")]
    kept = keep(weights["gpt2"], "pretrained-cut", [*frequent, *rare, *made_up], min_patients=5)
    assert {"Ġheart", "Ġenlarged"} <= set(kept.pieces)
    assert not {"Ġfootball", "Ġof", "Ġfoot", "ball"} & set(kept.pieces)
    assert kept.decode(kept.encode("The heart of football.")) == "The heart of football."
    fifth = keep(weights["gpt2"], "pretrained-cut", [*frequent, *rare, PatientText("football", "x")], min_patients=5)
    assert "Ġfootball" in fifth.pieces


def test_further_lines_keep_their_tokens(weights: dict[str, Path]) -> None:
    kept = keep(weights["gpt2"], "pretrained-cut", patient_texts(["Clear."]), extra=["kitchen football"])
    assert {"Ġkitchen", "Ġfootball"} <= set(kept.pieces)


def test_no_texts_are_refused(weights: dict[str, Path]) -> None:
    with pytest.raises(CorpusError, match="no report text to cut a vocabulary to"):
        keep(weights["gpt2"], "pretrained-cut", [])


def test_a_pretrained_tokenizer_needs_a_pretrained_decoder(tmp_path: Path) -> None:
    model = tiny_recipe(tmp_path).model.model_dump()
    with pytest.raises(ValueError, match=r"decoder\.tokenizer = 'pretrained' needs a pretrained decoder"):
        ModelRecipe.model_validate(model | {"decoder": {"tokenizer": "pretrained"}})


@pytest.mark.parametrize(
    ("kind", "tokenizer", "lora"), [("gpt2", "pretrained", None), ("llama", "pretrained-cut", {"rank": 2})]
)
def test_a_run_trains_a_decoder_with_its_tokenizer(
    kind: str, tokenizer: str, lora: dict[str, int] | None, weights: dict[str, Path], tmp_path: Path
) -> None:
    data = write_corner_corpus(tmp_path, copies=2)
    rates = {"projector": 1e-3, "decoder": 1e-3 if lora else 0}
    chosen = recipe(data, weights[kind], tokenizer, lora, stage={"steps": 2, "rates": rates})
    loaded = load_checkpoint(train(chosen, tmp_path / "run", resume=False, on_step=lambda _: None))
    assert {path.name for path in (tmp_path / "run" / "best").glob("tokenizer*")} == {"tokenizer.json"}
    assert isinstance(loaded.tokenizer, PretrainedTokenizer)
    text = "FINDINGS: The heart is enlarged. IMPRESSION: Cardiomegaly."
    assert loaded.tokenizer.decode(loaded.tokenizer.encode(text)) == text

    rows = token_rows(chosen.model, loaded.tokenizer)
    built = build_model(chosen, loaded.tokenizer.vocabulary_size, rows=rows)
    embeddings = [model.decoder.language_model.get_input_embeddings().weight for model in (loaded.model, built)]
    assert torch.allclose(*embeddings, atol=1e-6)  # only adapters were trained, or nothing
    adapted = "; low-rank adapters were trained in their place" if lora else ""
    assert describe_decoder(built).endswith(f"are pretrained, its token embeddings among them{adapted}.")

    with Run.open(tmp_path / "run", chosen, resume=True) as run:
        again = prepare(chosen, run, load_prompt(chosen.text.prompt), on_progress=ignore_progress)
    assert again.tokenizer.to_bytes() == loaded.tokenizer.to_bytes()
    example = next(iter(again.encoded.examples["images"]["train"]))
    assert again.tokenizer.decode(example.report_ids) == " ".join(example.reference.split())


def test_a_tokenizer_that_lower_cases_is_refused_before_training(tmp_path: Path) -> None:
    write_pretrained(tmp_path / "model", GPT2, lower_case_word_piece())
    with pytest.raises(CheckpointError, match=r'set model\.decoder\.tokenizer = "own"'):
        keep(tmp_path / "model", "pretrained", [])
