"""Checkpoints from strangers: nothing is downloaded, opened or executed, and no size exhausts the memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch

from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError, ResourceError
from report_gen.imaging import read_study
from report_gen.model import load_checkpoint, load_pretrained, read_config
from report_gen.model.checkpoint import SEALED
from report_gen.model.checkpoint_files import CONFIG, MANIFEST, MAX_BYTES, PROMPT, TOKENIZER, TRAINING, WEIGHTS
from tests.builders import (
    GPT2,
    LLAMA,
    THRESHOLDS,
    noise_image,
    tiny_config,
    tiny_model,
    write_checkpoint,
    write_language_model,
    write_png,
)
from tests.checkpoint_damage import edit_config, edit_weights, reseal
from tests.network import blocked_network, listening_socket

Change = Callable[[dict[str, Any]], object]

EXTRA_BYTES = 600 * 2**20
"""Address space that refusing a checkpoint may take, bytes."""
CPU_SECONDS = 10.0
"""CPU time that refusing a checkpoint may take, seconds; each takes less than one."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a GPT-2, one with a Llama and one with a recognizer."""
    root = tmp_path_factory.mktemp("checkpoints")
    recognized = {"classes": ["upright", "foreign"], "grid": 2, "components": 2, "max_distance": 1e6}
    for name, changes in (
        ("gpt2", {}),
        ("llama", {"decoder": {"transformer": LLAMA}}),
        ("recognizer", {"scope": {"recognizer": recognized}}),
    ):
        write_checkpoint(root / name, model=tiny_model(tiny_config(findings={"present": THRESHOLDS}, **changes)))
        load_checkpoint(root / name)  # imports what is loaded at the first use
    return root


@pytest.fixture
def copied(sources: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a checkpoint, so that a test may damage it."""
    return lambda name: Path(shutil.copytree(sources / name, tmp_path / "tiny"))


@contextmanager
def little_memory() -> Iterator[None]:
    """Limit the address space of this process, and check the CPU time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + EXTRA_BYTES, hard))
    before = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - before < CPU_SECONDS


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
        with pytest.raises(CheckpointError, match=r"the argument 'pretrained' would download weights; remove it"):
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
    with little_memory(), pytest.raises(CheckpointError, match="the model would need 8 GB for masks and position"):
        load_checkpoint(folder)


def test_settings_that_do_not_fit_together_are_refused_with_their_file(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    edit_config(folder, transformer(num_attention_heads=0))
    with pytest.raises(CheckpointError, match=r"tiny/config\.json: transformers cannot build a decoder 'llama'"):
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


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is limited to 108 bytes
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


def link_to_pipe(path: Path) -> None:
    make_pipe(path.with_name("pipe"))
    path.symlink_to("pipe")


KINDS: list[tuple[Callable[[Path], object], str]] = [
    (make_pipe, "is a pipe, not a file"),
    (link_to_pipe, "is a pipe, not a file"),
    (make_socket, "is a socket, not a file"),
    (Path.mkdir, "is a folder, not a file"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    (lambda path: path.symlink_to(path.name), "cannot be read"),
]


@pytest.mark.parametrize("name", [*SEALED, MANIFEST])
@pytest.mark.parametrize(("make", "fault"), KINDS)
def test_only_regular_files_are_read(
    copied: Callable[[str], Path], name: str, make: Callable[[Path], object], fault: str
) -> None:
    folder = copied("gpt2")
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(CheckpointError, match=rf"tiny/{name}: {fault}"):
        load_checkpoint(folder)


def test_links_to_regular_files_are_read(copied: Callable[[str], Path]) -> None:
    folder = copied("gpt2")
    (folder / WEIGHTS).rename(folder / "blob")
    (folder / WEIGHTS).symlink_to("blob")
    load_checkpoint(folder)


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, PROMPT, TRAINING, MANIFEST])
def test_a_huge_file_is_refused_before_it_is_read(copied: Callable[[str], Path], name: str) -> None:
    folder = copied("gpt2")
    os.truncate(folder / name, 2**40)
    with little_memory(), pytest.raises(CheckpointError, match=rf"tiny/{name}: larger than {MAX_BYTES[name]} bytes"):
        load_checkpoint(folder)


def test_huge_weights_are_refused_by_their_header(copied: Callable[[str], Path]) -> None:
    folder = copied("gpt2")
    os.truncate(folder / WEIGHTS, 2**40)
    with little_memory(), pytest.raises(CheckpointError, match=r"model\.safetensors: not a safetensors file as its"):
        load_checkpoint(folder)


HEADERS = {
    "too long": (2**40).to_bytes(8, "little"),
    "negative": b"\xff" * 8,
    "nested": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "a list": (2).to_bytes(8, "little") + b"[]",
    "no offsets": (13).to_bytes(8, "little") + b'{"a":{"b":1}}',
    "not UTF-8": (2).to_bytes(8, "little") + b"\xff\xff",
    "infinite": (49).to_bytes(8, "little") + b'{"a":{"shape":[1e999],"data_offsets":[0,1e999]}} ',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_malformed_header_of_weights_is_refused(copied: Callable[[str], Path], header: bytes) -> None:
    folder = copied("gpt2")
    (folder / WEIGHTS).write_bytes(header + b" " * (100 - len(header)))
    reseal(folder)
    with little_memory(), pytest.raises(CheckpointError, match=r"model\.safetensors: not a safetensors file"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", [CONFIG, MANIFEST])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[" * 30_000 + "]" * 30_000, "nested too deeply"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ('{"a": NaN}', "the number NaN is not finite"),
        ('{"a": 1e999}', "the number 1e999 is not finite"),
        ("[1" + "0" * 5000 + "]", "Exceeds the limit"),
        ("\x00", "Expecting value"),
    ],
)
def test_json_that_harms_or_deceives_is_refused(
    copied: Callable[[str], Path], name: str, content: str, fault: str
) -> None:
    folder = copied("gpt2")
    (folder / name).write_text(content)
    if name != MANIFEST:
        reseal(folder)
    with pytest.raises(CheckpointError, match=rf"tiny/{name}: not JSON of this program \({fault}"):
        load_checkpoint(folder)


def test_a_training_record_is_not_parsed(copied: Callable[[str], Path]) -> None:
    """Drafting needs nothing of it, so its nesting cannot matter."""
    folder = copied("gpt2")
    (folder / TRAINING).write_text("[" * 200_000)
    reseal(folder)
    load_checkpoint(folder)


def test_a_lone_surrogate_in_the_name_is_refused(copied: Callable[[str], Path]) -> None:
    """Such a text cannot be printed."""
    folder = copied("gpt2")
    text = (folder / CONFIG).read_text().replace('"name": "tiny"', '"name": "ti\\ud800ny"')
    (folder / CONFIG).write_text(text)
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/config\.json: "):
        load_checkpoint(folder)


@pytest.mark.parametrize("phrase", ["(a", "[", "a)", "(", "*", "((((a))))", "\\", "(?P<x>a)", "a{9999999}", "(|)", "|"])
def test_phrases_of_a_checkpoint_are_either_compiled_or_refused(copied: Callable[[str], Path], phrase: str) -> None:
    folder = copied("gpt2")
    schema = {"name": "own", "findings": ["A"], "phrases": {"A": {"phrases": [phrase]}}}
    edit_config(folder, lambda config: config.update(finding_schema=schema, findings={"present": [None]}))
    with little_memory(), pytest.raises(CheckpointError):  # at the latest because the weights have 17 findings
        load_checkpoint(folder)


@pytest.mark.parametrize("size", [10, 1000, -10])
def test_a_damaged_vocabulary_is_refused_or_harmless(copied: Callable[[str], Path], size: int) -> None:
    folder = copied("gpt2")
    (folder / TOKENIZER).write_bytes((folder / TOKENIZER).read_bytes()[:size])
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/tokenizer\.model: "):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a\x00b"])
def test_a_folder_name_that_the_system_refuses_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read|no such checkpoint folder"):
        load_checkpoint(tmp_path / name)


def test_memory_exhaustion_is_told_as_what_it_is(
    copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    folder = copied("gpt2")
    monkeypatch.setattr("report_gen.model.checkpoint.fill", exhausted)
    with pytest.raises(ResourceError, match=r"not enough memory for the model of 0\.\d GB in .*model\.safetensors"):
        load_checkpoint(folder)


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


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
    change_json(tmp_path / "config.json", **changes)
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
    change_json(tmp_path / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    with pytest.raises(CheckpointError, match="its weights are quantized; use the model before quantization"):
        load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=False)
