"""Language models of transformers: which weights are kept, which are new, and refused files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, PreTrainedModel

from report_gen.config import MODEL_TYPES, DecoderConfig
from report_gen.errors import CheckpointError
from report_gen.model import CrossAttentionConditioning, PrefixConditioning, ReportDecoder, load_pretrained
from report_gen.model.language_model import build_from_configuration, network_settings
from report_gen.model.pretrained_source import load_source_tokenizer
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, convert, source_rows
from tests.builders import GPT2, LLAMA, write_language_model
from tests.network import blocked_network
from tests.pretrained_models import write_pretrained

KINDS = {"gpt2": GPT2, "llama": LLAMA}
VOCABULARY = 77


@pytest.mark.parametrize(
    "transformer", [{"model_type": "no-such-type"}, {"hidden_size": 8}, LLAMA | {"num_attention_heads": 3}]
)
def test_a_configuration_that_transformers_cannot_build_is_refused(transformer: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="transformers"):
        build_from_configuration(transformer, vocabulary_size=50, cross_attention=False)


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_the_default_settings_of_every_allowed_decoder_can_be_stored_and_read(model_type: str) -> None:
    config = AutoConfig.for_model(model_type)
    stored = json.loads(json.dumps(network_settings(config, model_type)))
    again = AutoConfig.for_model(**DecoderConfig(transformer=stored).transformer)
    assert again.max_position_embeddings == config.max_position_embeddings
    assert {key: getattr(again, key) for key in stored if key != "model_type"} == {
        key: getattr(config, key) for key in stored if key != "model_type"
    }


@pytest.fixture(scope="module", params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedModel]:
    """A pretrained model as transformers saves it, with a vocabulary of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    return folder, write_language_model(folder, KINDS[request.param], vocabulary_size=VOCABULARY)


def load(folder: Path, vocabulary_size: int = 50, *, cross_attention: bool = False) -> Any:
    return load_pretrained(str(folder), vocabulary_size=vocabulary_size, cross_attention=cross_attention)


@pytest.mark.parametrize("vocabulary_size", [50, VOCABULARY])
def test_the_body_keeps_its_weights_and_the_token_embeddings_are_new(
    saved: tuple[Path, PreTrainedModel], vocabulary_size: int
) -> None:
    """Also if the vocabularies are of equal size: the same id means another token."""
    folder, pretrained = saved
    adapted = load(folder, vocabulary_size)
    token_names = {name for name, tensor in pretrained.state_dict().items() if VOCABULARY in tensor.shape}
    body = pretrained.state_dict().keys() - token_names
    assert body
    assert token_names
    assert all(torch.equal(adapted.model.state_dict()[name], pretrained.state_dict()[name]) for name in body)
    assert adapted.kept == body
    for name in token_names:
        found = adapted.model.state_dict()[name]
        assert found.shape == (vocabulary_size, 32)
        assert float(found.std()) == pytest.approx(0.02, rel=0.1)
        if vocabulary_size == VOCABULARY:
            assert not torch.equal(found, pretrained.state_dict()[name])
    config = adapted.model.config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (BOS_ID, EOS_ID, PAD_ID)
    assert ReportDecoder(adapted.model, conditioning=PrefixConditioning(2)).positions == 128


def test_tied_embeddings_stay_tied_and_others_separate(saved: tuple[Path, PreTrainedModel]) -> None:
    folder, pretrained = saved
    adapted = load(folder, VOCABULARY).model
    tied = pretrained.get_input_embeddings().weight is pretrained.get_output_embeddings().weight
    assert (adapted.get_input_embeddings().weight is adapted.get_output_embeddings().weight) == tied
    assert torch.equal(adapted.get_input_embeddings().weight, adapted.get_output_embeddings().weight) == tied


def test_a_pretrained_gpt2_gets_cross_attention(tmp_path: Path) -> None:
    pretrained = write_language_model(tmp_path, GPT2, vocabulary_size=VOCABULARY)
    found = load(tmp_path, cross_attention=True)
    new = {name for name, _ in found.model.named_parameters()} - found.kept
    assert {name.split(".")[3] for name in new if ".h." in name} == {"crossattention", "ln_cross_attn"}
    assert {name for name in new if ".h." not in name} == {"transformer.wte.weight"}
    assert found.kept == pretrained.state_dict().keys() - {"transformer.wte.weight", "lm_head.weight"}
    decoder = ReportDecoder(found.model, conditioning=CrossAttentionConditioning(2))
    logits = decoder(torch.randn(1, 2, 32), torch.ones(1, 2), torch.tensor([[5, 6]]), torch.ones(1, 2))
    assert logits.shape == (1, 2, 50)


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(("kind", "key"), [("gpt2", "n_layer"), ("llama", "num_hidden_layers")])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_wrong_number_of_layers_is_refused(tmp_path: Path, kind: str, key: str, layers: int) -> None:
    """transformers alone would leave the third layer random, or leave the second layer out."""
    write_language_model(tmp_path, KINDS[kind], vocabulary_size=VOCABULARY)
    change_config(tmp_path, **{key: layers})
    fault = rf"do not fit its config.json in \d+ tensors, \S+\.{min(layers, 2)}\.\S+ first"
    with pytest.raises(CheckpointError, match=fault):
        load(tmp_path)


def test_another_width_is_refused(tmp_path: Path) -> None:
    write_language_model(tmp_path, LLAMA, vocabulary_size=VOCABULARY)
    change_config(tmp_path, intermediate_size=64)
    with pytest.raises(CheckpointError, match=r"in 6 tensors, model\.layers\.0\.mlp\.\S+ first; download"):
        load(tmp_path)


def test_a_lost_tensor_is_refused(tmp_path: Path) -> None:
    write_language_model(tmp_path, GPT2, vocabulary_size=VOCABULARY)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["transformer.ln_f.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"in 1 tensors, transformer\.ln_f\.weight first"):
        load(tmp_path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent: no causal language model .*give a local folder or a hub name"):
        load(tmp_path / "absent")


def test_a_pickled_model_is_refused(tmp_path: Path) -> None:
    pretrained = write_language_model(tmp_path, GPT2, vocabulary_size=VOCABULARY)
    (tmp_path / "model.safetensors").unlink()
    torch.save(pretrained.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        load(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write_language_model(tmp_path, GPT2, vocabulary_size=VOCABULARY)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="no causal language model with safetensors weights"):
        load(tmp_path)


def test_a_hub_name_without_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"^nobody/nothing: no causal language model [^.]*$"):
        load(Path("nobody/nothing"))


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_language_model(tmp_path, GPT2, vocabulary_size=VOCABULARY)
    capfd.readouterr()
    load(tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": {"AutoModelForCausalLM": "someone/x--modeling.X", "AutoConfig": "someone/x--configuration.X"}},
        {"attn_implementation": "kernels-community/flash-attn3"},
        {"_name_or_path": "someone/model"},
    ],
)
def test_a_local_language_model_names_no_hub(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_language_model(tmp_path, LLAMA)
    change_config(tmp_path, **changes)
    with blocked_network() as attempts:
        found = load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=False)
    assert attempts == []
    assert set(found.configuration) & set(changes) == set()
    assert found.configuration["hidden_size"] == LLAMA["hidden_size"]


def test_a_local_adapter_does_not_load_its_base_model_from_a_hub(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "someone/model", "peft_type": "LORA", "task_type": "CAUSAL_LM"})
    )
    with blocked_network() as attempts, pytest.raises(CheckpointError, match="no causal language model"):
        load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=False)
    assert attempts == []


def test_a_hub_name_that_the_user_wrote_reaches_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with blocked_network() as attempts, pytest.raises(CheckpointError, match="nobody/nothing: no causal language"):
        load_pretrained("nobody/nothing", vocabulary_size=50, cross_attention=False)
    assert attempts


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    write_language_model(tmp_path, LLAMA)
    change_config(tmp_path, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    with pytest.raises(CheckpointError, match="its weights are quantized; use the model before quantization"):
        load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_kept_embeddings_give_the_logits_of_the_pretrained_model(tmp_path: Path, kind: str, tied: bool) -> None:
    pretrained = write_pretrained(tmp_path, KINDS[kind] | {"tie_word_embeddings": tied}).eval()
    source = load_source_tokenizer(str(tmp_path))
    tokenizer = convert(source)
    rows = source_rows(source, tokenizer)
    found = load_pretrained(str(tmp_path), vocabulary_size=tokenizer.vocabulary_size, cross_attention=False, rows=rows)
    ids = torch.tensor([tokenizer.encode("The heart is enlarged.")])
    with torch.no_grad():
        expected = pretrained(torch.tensor(rows)[ids]).logits[..., rows]
        assert torch.allclose(found.model.eval()(ids).logits, expected, atol=1e-6)
    assert found.kept == {name for name, _ in found.model.named_parameters()}
    embeddings, output = found.model.get_input_embeddings(), found.model.get_output_embeddings()
    assert (embeddings.weight is output.weight) == tied
    assert len(embeddings.weight) == found.model.config.vocab_size == tokenizer.vocabulary_size
    if embeddings.padding_idx is not None:
        assert embeddings.padding_idx == PAD_ID


def test_kept_embeddings_with_new_cross_attention(tmp_path: Path) -> None:
    write_pretrained(tmp_path, GPT2)
    found = load_pretrained(str(tmp_path), vocabulary_size=3, cross_attention=True, rows=[5, 6, 7])
    new = {name for name, _ in found.model.named_parameters()} - found.kept
    assert {name.split(".")[3] for name in new} == {"crossattention", "ln_cross_attn"}


def test_a_lost_embedding_is_refused_if_it_is_to_be_kept(tmp_path: Path) -> None:
    write_pretrained(tmp_path, GPT2)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["transformer.wte.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"do not fit its config.json in \d tensors"):
        load_pretrained(str(tmp_path), vocabulary_size=3, cross_attention=False, rows=[5, 6, 7])


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tmp_path: Path) -> None:
    write_pretrained(tmp_path, GPT2)
    with pytest.raises(CheckpointError, match="its tokenizer has the id 9999, but its embeddings have"):
        load_pretrained(str(tmp_path), vocabulary_size=2, cross_attention=False, rows=[5, 9999])
