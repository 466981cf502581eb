"""Fine-tuning that cannot start or go on: one sentence says why and what to do."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from report_gen_training.adapter_tuning import tune
from report_gen_training.adapter_tuning.adapters import add_adapters
from report_gen_training.recipe import LoraSettings, load_any_recipe, load_recipe
from report_gen_training.run import Progress
from torch import nn

from report_gen.drafting import Drafter, find_source
from report_gen.errors import CheckpointError, CorpusError, RecipeError, ReportGenError, ResourceError, UsageError
from tests.training.adapter_tuning.tuning_runs import recipe, write_corpus


def refused(kind: type[ReportGenError], *arguments: Any, **values: Any) -> str:
    """Return why a recipe is refused."""
    folder, *rest = arguments
    with pytest.raises(kind) as error:
        tune(recipe(*rest, **values), folder / "run")
    return str(error.value)


@pytest.fixture(scope="module")
def tuned(described: dict[str, Path], corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of one step."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    tune(recipe(described["llava"], corpus, steps=1, validation_drafts=1, text={"max_report_tokens": 8}), folder)
    return folder


@pytest.fixture
def copy(tuned: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tuned / "best", tmp_path / "copy")


def load(folder: Path, base: str | None = None) -> Any:
    return Drafter.load(folder, base=base, device="cpu")


def test_models_that_cannot_be_trained(tmp_path: Path, corpus: Path, tuned: Path) -> None:
    assert refused(RecipeError, tmp_path, "chest_xray", corpus) == (
        "model: chest_xray is a checkpoint of report-gen; train it with a recipe that has [model] and [[stages]]"
    )
    assert refused(RecipeError, tmp_path, "local_endpoint", corpus) == (
        "model: local_endpoint is an endpoint, whose weights are on its server; name a local model"
    )
    assert refused(RecipeError, tmp_path, tuned, corpus).startswith(
        f"model: {tuned} has an adapter already; name its base, "
    )
    assert "no such checkpoint folder" in refused(CheckpointError, tmp_path, tmp_path / "none", corpus)
    quantized = tmp_path / "quantized.toml"
    quantized.write_text('name = "q"\nbackend = "image-text"\nmodel = "x"\nruntime = { quantization = "4bit" }')
    assert refused(RecipeError, tmp_path, quantized, corpus) == (
        f"model: {quantized} is quantized, and such weights are not trained; remove runtime.quantization"
    )


def test_float16_is_refused(tmp_path: Path, described: dict[str, Path], corpus: Path) -> None:
    half = described["llava"].with_name("half.toml")
    half.write_text(described["llava"].read_text() + '[runtime]\ndtype = "float16"\n')
    assert refused(RecipeError, tmp_path, half, corpus) == (
        'dtype: llava is of float16, in which gradients vanish; set dtype = "bfloat16"'
    )


def test_layers_that_do_not_exist(tmp_path: Path, described: dict[str, Path], corpus: Path) -> None:
    found = refused(RecipeError, tmp_path, described["vit_gpt2"], corpus, lora={"parts": ["projector"]})
    assert found.startswith("lora.parts: the model has no projector (multi_modal_projector, merger, ")
    assert found.endswith('set lora.parts = ["language"]')

    class Lookup(nn.Module):
        def __init__(self, *, is_known: bool) -> None:
            super().__init__()
            self.decoder, self.vision, self.head = nn.Embedding(3, 2), nn.Linear(2, 2), nn.Linear(2, 3)
            self.known = is_known

        @property
        def base_model(self) -> nn.Module:
            return self

        def get_decoder(self) -> nn.Module:
            return self.decoder if self.known else self

        def get_output_embeddings(self) -> nn.Module:
            return self.head

    for is_known in (True, False):  # transformers returns the whole model if it knows no language model
        with pytest.raises(RecipeError, match=r"^lora.parts: the model has no language model with linear layers that"):
            add_adapters(Lookup(is_known=is_known), LoraSettings(), name="lookup", revision="", seed=0)


def test_adapters_that_peft_refuses(described: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("Target module Router() is not supported.")

    monkeypatch.setattr("report_gen_training.adapter_tuning.adapters.inject_adapter_in_model", refuse)
    model = load(described["llava"]).generator._backend.model
    with pytest.raises(RecipeError, match=r"^lora: peft cannot adapt llava \(Target module Router\(\) is not"):
        add_adapters(model, LoraSettings(), name="llava", revision="", seed=0)


def test_a_corpus_without_reports(tmp_path: Path, described: dict[str, Path]) -> None:
    corpus = write_corpus(tmp_path / "corpus", reports=False)
    assert refused(CorpusError, tmp_path, described["llava"], corpus) == (
        "tuned: no training study has images and the sections FINDINGS; name a corpus with reports, or relax "
        "text.sections"
    )
    assert not (tmp_path / "run" / "recipe.json").exists()  # the folder can be used again


@pytest.mark.parametrize("fault", ["damaged", "uniform", "long"])
def test_a_study_that_cannot_be_learned(tmp_path: Path, described: dict[str, Path], fault: str) -> None:
    corpus = write_corpus(tmp_path / "corpus", studies=3)
    if fault == "damaged":
        (corpus / "2.png").write_bytes((corpus / "2.png").read_bytes()[:60])
    elif fault == "uniform":
        Image.new("L", (56, 56)).save(corpus / "2.png")
    else:
        rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
        words = ("".join(letters) for letters in product("bcdfghklmn", "aeiou", "lmnprs"))
        rows[4]["findings"] = " ".join(f"The lungs are clear in the zone {word}." for word in words)
        (corpus / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    values: dict[str, Any] = {"steps": 3, "batch_size": 1, "checkpoint_metric": "loss", "validation_drafts": 1}
    if fault == "long":
        values |= {"text": {"max_report_tokens": 4000}}
    found = refused(CorpusError, tmp_path, described["llava"], corpus, **values)
    assert found.startswith("train-2: cannot be learned (")
    assert found.endswith('exclude the study, or set unreadable = "leave-out"')
    assert {"long": "context too long", "uniform": "same value"}.get(fault, "2.png") in found
    steps: list[Progress] = []
    run = recipe(described["llava"], corpus, unreadable="leave-out", **values)
    tune(run, tmp_path / "other", on_step=steps.append)
    assert sorted(one.studies for one in steps) == [0, 1, 1]


def test_studies_that_are_all_left_out_end_the_run(tmp_path: Path, described: dict[str, Path]) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    for number in range(2):
        Image.new("L", (56, 56)).save(corpus / f"{number}.png")
    found = refused(CorpusError, tmp_path, described["llava"], corpus, unreadable="leave-out")
    assert found == "step 3: all studies of 3 steps in a row are left out; the warnings say why"


def test_memory_that_is_exhausted(
    tmp_path: Path, described: dict[str, Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr("report_gen_training.adapter_tuning.tuning.answer_loss", exhausted)
    values: dict[str, Any] = {"checkpoint_activations": False, "validation_drafts": 1, "checkpoint_metric": "loss"}
    assert refused(ResourceError, tmp_path, described["llava"], corpus, **values) == (
        "tuned: out of memory with batch_size = 2; use checkpoint_activations = true, or batch_size = 1 with "
        'accumulate = 2, or dtype = "bfloat16", or a smaller images.size or images.max_images in the description of '
        "the model"
    )


def test_losses_that_are_not_finite_end_the_run(
    tmp_path: Path, described: dict[str, Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from report_gen_training.adapter_tuning import tuning

    loss = tuning.answer_loss
    monkeypatch.setattr(tuning, "answer_loss", lambda *a: loss(*a) * float("nan"))
    steps: list[Progress] = []
    run = recipe(described["llava"], corpus, validation_drafts=1, checkpoint_metric="loss")
    with pytest.raises(RecipeError, match=r"^step 3: no finite loss and gradient in 3 steps in a row, the loss is nan"):
        tune(run, tmp_path / "run", on_step=steps.append)
    assert [one.step for one in steps] == [1, 2, 3]


def test_an_altered_adapter_and_another_base_are_refused(copy: Path, described: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"gemma3: its weights are others than those that the adapter"):
        load(copy, str(described["gemma3"].with_suffix("")))
    load(copy, str(described["llava"].with_suffix("")))
    (copy / "adapter_config.json").write_text((copy / "adapter_config.json").read_text().replace("32", "64"))
    with pytest.raises(CheckpointError, match=r"the adapter is not the one that its description names; copy the fol"):
        load(copy)
    (copy / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"adapter_model.safetensors: no such file; name the folder of an adap"):
        load(copy)
    with pytest.raises(UsageError, match=r"^tiny: a base is for adapters; leave it out"):
        load(described["llava"], "x")


def test_an_adapter_of_another_architecture_is_refused(copy: Path, described: dict[str, Path]) -> None:
    text = (copy / "description.toml").read_text()
    (copy / "description.toml").write_text("\n".join(one for one in text.splitlines() if "base_sha256" not in one))
    with pytest.raises(CheckpointError, match=r"adapter"):
        load(copy, str(described["gemma3"].with_suffix("")))


def test_an_adapter_of_an_endpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.toml"
    path.write_text(
        'name = "e"\nbackend = "endpoint"\nmodel = "m"\nurl = "http://127.0.0.1:1/v1"\n[adapter]\nfolder = "."\n'
    )
    with pytest.raises(UsageError, match=r"adapter is not for endpoints, whose server loads the adapter; remove it"):
        find_source(path)


def test_an_adapter_in_a_description_of_the_user(copy: Path, described: dict[str, Path]) -> None:
    path = described["llava"].with_name("mine.toml")
    path.write_text(f'{described["llava"].read_text()}[adapter]\nfolder = "{copy}"\n')
    weights = load(path).info.weights_sha256
    assert weights == load(copy).info.weights_sha256 != load(described["llava"]).info.weights_sha256


def test_an_adapter_needs_peft(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report_gen.backends.adapter_loading.find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match=r"copy: an adapter needs peft; pip install peft"):
        load(copy)


def test_faults_of_a_recipe(tmp_path: Path) -> None:
    def fault(text: str) -> str:
        (tmp_path / "r.toml").write_text(f'name = "x"\nmodel = "medgemma"\nsteps = 3\n{text}')
        with pytest.raises(RecipeError) as error:
            load_any_recipe(str(tmp_path / "r.toml"))
        return str(error.value).removeprefix(f"{tmp_path / 'r.toml'}: ")

    corpus = '[[corpora]]\nname = "a"\npath = "a"\n'
    assert fault("") == "corpora: Field required"
    assert fault(f"{corpus}[lora]\nranks = 3") == "unknown key 'lora.ranks'; did you mean 'rank'?"
    assert fault(f"{corpus}[lora]\nparts = []").startswith("lora.parts: Tuple should have at least 1 item")
    assert fault(f'{corpus}[lora]\nparts = ["eyes"]').startswith("lora.parts.0: Input should be 'language' or 'proj")
    assert fault(corpus + corpus) == "recipe: corpora have duplicate names: a, a; give each its own name"
    (tmp_path / "r.toml").write_text(f'name = "x"\nmodel = "medgemma"\nsteps = 3\n{corpus}')
    with pytest.raises(RecipeError, match=r"r.toml: fine-tunes the model 'medgemma'; give a recipe with stages"):
        load_recipe(str(tmp_path / "r.toml"))


def test_several_processes_are_refused(
    tmp_path: Path, described: dict[str, Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Two:
        num_processes = 2

    monkeypatch.setattr("report_gen_training.adapter_tuning.session.PartialState", Two)
    assert refused(UsageError, tmp_path, described["llava"], corpus) == (
        "a published model is fine-tuned by one process; start it without accelerate launch"
    )
