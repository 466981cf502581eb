"""Checkpoints from strangers: nothing is downloaded, opened or executed, and no size exhausts the memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch

from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError, ResourceError
from report_gen.imaging import read_study
from report_gen.model import load_checkpoint, read_config
from tests.builders import (
    GPT2,
    LLAMA,
    noise_image,
    tiny_config,
    tiny_model,
    write_checkpoint,
    write_png,
)
from tests.checkpoint_damage import edit_config, edit_weights, little_memory
from tests.network import blocked_network, listening_socket

Change = Callable[[dict[str, Any]], object]


def encoder(**values: Any) -> Change:
    return lambda config: config["encoder"].update(values)


def decoder(**values: Any) -> Change:
    return lambda config: config["decoder"].update(values)


def transformer(**values: Any) -> Change:
    return lambda config: config["decoder"]["transformer"].update(values)


def recognizer(**values: Any) -> Change:
    return lambda config: config["scope"]["recognizer"].update(values)


CALLS_OUT: list[tuple[str, Change]] = [
    ("gpt2", encoder(name="resnet18", arguments={"pretrained": True})),
    ("gpt2", encoder(arguments={"pretrained": True, "pretrained_cfg": "a1_in1k"})),
    ("gpt2", encoder(arguments={"pretrained_cfg": {"url": "http://localhost/x"}})),
    ("gpt2", encoder(arguments={"checkpoint_path": "/etc/passwd"})),
    ("gpt2", encoder(arguments={"cache_dir": "/etc"})),
    ("gpt2", encoder(name="hf-hub:timm/resnet18")),
    ("gpt2", encoder(name="hf_hub:timm/resnet18")),
    ("gpt2", encoder(name="local-dir:/etc")),
    ("llama", transformer(attn_implementation="kernels-community/flash-attn3")),
    ("llama", transformer(_attn_implementation="kernels-community/flash-attn3")),
    ("llama", transformer(attn_implementation="flash_attention_2")),
    ("llama", transformer(auto_map={"AutoModelForCausalLM": "someone/x--modeling.X"}, trust_remote_code=True)),
    ("llama", transformer(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})),
    ("llama", transformer(experts_implementation="kernels-community/moe")),
    ("llama", transformer(backbone="resnet18", use_timm_backbone=True)),
]


@pytest.mark.parametrize(("name", "change"), CALLS_OUT)
def test_a_configuration_that_would_load_something_is_refused_without_a_connection(
    copied: Callable[[str], Path], name: str, change: Change
) -> None:
    folder = copied(name)
    edit_config(folder, change)
    with blocked_network() as attempts:
        for load in (read_config, load_checkpoint, Drafter.load):
            with pytest.raises(CheckpointError, match=r"tiny/config\.json: (encoder|decoder)"):
                load(folder)
    assert attempts == []


def test_loading_and_drafting_never_connect(sources: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "chest.png", noise_image())
    with blocked_network() as attempts:
        for name in ("gpt2", "llama", "recognizer"):
            drafter = Drafter.load(sources / name, device="cpu")
            (report,) = drafter.draft_all([read_study(tmp_path / "chest.png")], force=True)
            assert not isinstance(report, Exception)
    assert attempts == []


def test_the_listening_socket_hears_what_the_lists_keep_out(
    copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """First a call to timm shows that the socket hears a download; a checkpoint with the same arguments is silent."""
    arguments = {"pretrained": True}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with listening_socket() as (address, requests):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(
            huggingface_hub.constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the library makes of a 404
            timm.create_model("resnet18", **arguments)
        assert requests, "the socket must hear a download, or this test shows nothing"
        requests.clear()
        folder = copied("gpt2")
        edit_config(folder, encoder(name="resnet18", arguments=arguments))
        with pytest.raises(CheckpointError, match=r"the encoder argument 'pretrained' is not allowed, as it would"):
            Drafter.load(folder)
        assert requests == []


def test_notes_that_name_a_hub_are_ignored(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    edit_config(folder, transformer(_name_or_path="someone/model", architectures=["X"], tokenizer_class="Y"))
    with blocked_network() as attempts:
        loaded = load_checkpoint(folder).model
    assert loaded.config.decoder.transformer == LLAMA
    assert attempts == []


GIANTS: list[tuple[str, Change]] = [
    ("gpt2", decoder(layers=10**6)),
    ("gpt2", decoder(layers=256)),
    ("gpt2", decoder(width=2**30)),
    ("gpt2", decoder(width=2**15)),
    ("gpt2", decoder(positions=10**12)),
    ("gpt2", decoder(positions=16_384)),
    ("gpt2", encoder(image_size=10**5)),
    ("gpt2", encoder(image_size=4096, arguments={"img_size": 4096})),
    ("gpt2", encoder(channels=10**9)),
    ("gpt2", encoder(arguments={"img_size": 32, "depth": 10**6})),
    ("gpt2", encoder(arguments={"img_size": 32, "embed_dim": 2**15})),
    ("gpt2", encoder(arguments={"img_size": 32, "mlp_ratio": 1e9})),
    ("gpt2", lambda config: config["projector"].update(hidden=10**9)),
    ("gpt2", lambda config: config["projector"].update(hidden=2**15)),
    ("gpt2", lambda config: config["projector"].update(patch_tokens=10**12)),
    ("gpt2", lambda config: config.update(vocabulary_size=10**9)),
    ("gpt2", lambda config: config.update(conditioning="numbers", projector={"numbers": 10**9})),
    ("llama", transformer(num_hidden_layers=10**6)),
    ("llama", transformer(hidden_size=2**30)),
    ("llama", transformer(intermediate_size=2**20)),
    ("llama", transformer(max_position_embeddings=10**12)),
    ("llama", decoder(transformer=GPT2 | {"n_positions": 2**20})),
    ("gpt2", lambda config: config.update(sequence={"kind": "attention", "width": 2**15, "layers": 256})),
    ("gpt2", lambda config: config.update(sequence={"kind": "recurrent", "width": 2**15, "layers": 256})),
    ("gpt2", lambda config: config.update(sequence={"kind": "recurrent", "width": 2**30})),
    ("gpt2", lambda config: config.update(sequence={"kind": "attention", "layers": 10**6})),
    ("recognizer", recognizer(grid=10**6)),
    ("recognizer", recognizer(grid=64)),
    ("recognizer", recognizer(components=10**10)),
    ("recognizer", recognizer(components=65_536)),
]


@pytest.mark.parametrize(("name", "change"), GIANTS)
def test_a_giant_configuration_is_refused_before_anything_is_built(
    copied: Callable[[str], Path], name: str, change: Change
) -> None:
    folder = copied(name)
    edit_config(folder, change)
    with little_memory(), pytest.raises(CheckpointError) as refused:
        load_checkpoint(folder)
    assert refused.value.exit_code == 4
    assert "config.json" in str(refused.value)


def test_tables_that_are_computed_are_limited_even_if_the_weights_fit(tmp_path: Path) -> None:
    """GPT-J computes a table of positions, which the weights do not contain."""
    gptj = {"model_type": "gptj", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128, "rotary_dim": 8}
    folder = write_checkpoint(tmp_path / "tiny", model=tiny_model(tiny_config(decoder={"transformer": gptj})))
    load_checkpoint(folder)
    edit_config(folder, transformer(n_positions=2**20, rotary_dim=2**11))  # 2^20 x 2^11 x 4 bytes
    with little_memory(), pytest.raises(CheckpointError, match="the model would need 9 GB for masks and position"):
        load_checkpoint(folder)


def test_settings_that_do_not_fit_together_are_refused_with_their_file(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    edit_config(folder, transformer(num_attention_heads=0))
    with pytest.raises(CheckpointError, match=r"tiny/config\.json: transformers cannot build a decoder 'llama'"):
        load_checkpoint(folder)


def schema(**values: Any) -> Change:
    return lambda config: config["finding_schema"].update(values)


UNUSABLE: list[tuple[str, Change, str]] = [
    ("llama", transformer(sliding_window="x"), "sliding_window = 'x' is not a whole number"),
    ("llama", transformer(layer_types=["sliding_attention"] * 2), "the model cannot generate a text"),
    ("gpt2", encoder(arguments={"img_size": 32, "depth": 0}), "timm cannot build the encoder 'test_vit'"),
    ("gpt2", schema(vocabulary="x" * 5_000), "has more than 200 characters"),
    ("gpt2", schema(vocabulary="\u00e4" * 200), "is not part of this release"),
    ("gpt2", schema(name="a\x1b[31m\nb"), "contains control characters"),
    ("gpt2", schema(name="x" * 100_000), "has more than 200 characters"),
]


@pytest.mark.parametrize(("name", "change", "fault"), UNUSABLE)
def test_a_configuration_that_no_draft_can_use_is_refused_when_it_is_loaded(
    copied: Callable[[str], Path], name: str, change: Change, fault: str
) -> None:
    folder = copied(name)
    edit_config(folder, change)
    with little_memory(), pytest.raises(CheckpointError, match=rf"tiny/config\.json: .*{fault}") as refused:
        load_checkpoint(folder)
    assert refused.value.exit_code == 4
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("positions", [0, -1, 1, 3, 8])
def test_a_decoder_without_positions_for_a_report_is_refused_when_it_is_loaded(
    copied: Callable[[str], Path], positions: int
) -> None:
    folder = copied("llama")
    edit_config(folder, transformer(max_position_embeddings=positions))
    with pytest.raises(CheckpointError, match=rf"tiny/config\.json: the decoder has {positions} positions, but one"):
        load_checkpoint(folder)


def test_the_least_number_of_positions_leaves_one_for_the_report(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    model, prompt = load_checkpoint(folder).model, load_checkpoint(folder).tokenizer.encode("Chest.")
    least = model.visual_positions(1) + len(prompt) + 2  # the begin token and one token of the report
    edit_config(folder, transformer(max_position_embeddings=least))
    assert load_checkpoint(folder).model.decoder.positions == least
    edit_config(folder, transformer(max_position_embeddings=least - 1))
    with pytest.raises(
        CheckpointError, match=f"has {least - 1} positions, but one image and the prompt need {least - 1}"
    ):
        load_checkpoint(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["projector.finding_bias", "decoder.language_model.transformer.wte.weight"])
def test_weights_that_are_not_finite_are_refused_by_name(
    copied: Callable[[str], Path], name: str, value: float
) -> None:
    folder = copied("gpt2")
    edit_weights(folder, lambda weights: weights[name].view(-1)[-1:].fill_(value))
    with pytest.raises(CheckpointError, match=rf"tiny/model\.safetensors: {name} contains NaN or infinite") as refused:
        load_checkpoint(folder)
    assert refused.value.exit_code == 4


def test_numbers_too_large_for_float32_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("gpt2")
    name = "projector.finding_bias"
    edit_weights(folder, lambda weights: weights.update({name: weights[name].double() + 1e300}))
    with pytest.raises(CheckpointError, match=rf"{name} contains NaN or infinite"):
        load_checkpoint(folder)


def test_a_statistic_that_is_not_finite_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("recognizer")
    edit_weights(folder, lambda weights: weights["recognizer.scale"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match=r"recognizer\.scale contains NaN or infinite"):
        load_checkpoint(folder)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_of_another_kind_of_number_are_refused(copied: Callable[[str], Path], dtype: torch.dtype) -> None:
    folder = copied("gpt2")
    name = "projector.finding_bias"
    edit_weights(folder, lambda weights: weights.update({name: weights[name].to(dtype)}))
    with pytest.raises(CheckpointError, match=rf"{name} has the type {str(dtype)[6:]} instead of float32"):
        load_checkpoint(folder)


@pytest.mark.parametrize("phrase", ["(a", "[", "a)", "(", "*", "((((a))))", "\\", "(?P<x>a)", "a{9999999}", "(|)", "|"])
def test_phrases_of_a_checkpoint_are_either_compiled_or_refused(copied: Callable[[str], Path], phrase: str) -> None:
    folder = copied("gpt2")
    schema = {"name": "own", "findings": ["A"], "phrases": {"A": {"phrases": [phrase]}}}
    edit_config(folder, lambda config: config.update(finding_schema=schema, findings={"present": [None]}))
    with little_memory(), pytest.raises(CheckpointError):  # at the latest because the weights have 17 findings
        load_checkpoint(folder)


def test_memory_exhaustion_is_told_as_what_it_is(
    copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    folder = copied("gpt2")
    monkeypatch.setattr("report_gen.model.checkpoint.fill", exhausted)
    with pytest.raises(ResourceError, match=r"not enough memory for the model of 0\.\d GB in .*model\.safetensors"):
        load_checkpoint(folder)
