"""Tests of what is loaded for a description, and of what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from report_gen.backends import BackendInfo, EncoderDecoderBackend, ImageTextBackend, hub_loading, load_description
from report_gen.errors import CheckpointError, ResourceError, UsageError
from report_gen.generation import Decoding
from tests.backends.chats import chat, describe, no_deadline
from tests.pretrained_models import write_pretrained

pytestmark = pytest.mark.usefixtures("offline")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def refused(folder: Path, error: type[Exception] = CheckpointError, **tables: Any) -> str:
    """Return why a model is refused."""
    with pytest.raises(error) as caught:
        ImageTextBackend(describe(folder, **tables))
    message = str(caught.value)
    assert str(folder.parent) not in message
    assert "\n" not in message
    return message


@pytest.fixture
def copy(llava: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llava, tmp_path / "model"))


def test_the_provenance_of_a_folder_names_no_path(llava: Path) -> None:
    assert ImageTextBackend(describe(llava)).info == BackendInfo(
        model="llava",
        revision="",
        weights_sha256=hashlib.sha256((llava / "model.safetensors").read_bytes()).hexdigest(),
        device="cpu",
        dtype="float32",
    )


def test_the_digest_of_shards_is_that_of_the_files_in_order(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    names = sorted(state)
    files = {"b.safetensors": names[:9], "a.safetensors": names[9:]}
    for file, some in files.items():
        save_file({name: state[name] for name in some}, copy / file, metadata={"format": "pt"})
    (copy / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, some in files.items() for name in some}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    (copy / "unused.safetensors").write_bytes(b"of another program")
    joined = (copy / "a.safetensors").read_bytes() + (copy / "b.safetensors").read_bytes()
    assert ImageTextBackend(describe(copy)).info.weights_sha256 == hashlib.sha256(joined).hexdigest()


def fill_cache(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a local cache of the hub that holds a model as `org/tiny` at a commit, with a branch and a tag."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    repository = cache / "models--org--tiny"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(COMMIT)


@pytest.mark.parametrize("revision", ["", "main", "v1", COMMIT])
def test_a_hub_name_is_read_from_the_local_cache_with_its_commit(
    llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    fill_cache(tmp_path / "cache", llava, monkeypatch)
    path = tmp_path / "tiny.toml"
    path.write_text(f'name = "Tiny"\nbackend = "image-text"\nmodel = "org/tiny"\nrevision = "{revision}"\n')
    backend = ImageTextBackend(load_description(path))
    expected = ImageTextBackend(describe(llava))
    assert (backend.info.model, backend.info.revision) == ("org/tiny", COMMIT)
    assert backend.info.weights_sha256 == expected.info.weights_sha256
    decoding = Decoding(method="greedy", max_tokens=4)
    assert list(backend.generate([chat()], decoding, no_deadline)) == list(
        expected.generate([chat()], decoding, no_deadline)
    )


def test_a_model_that_is_not_in_the_cache_is_one_sentence_offline(
    llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_cache(tmp_path / "cache", llava, monkeypatch)
    for model, revision in (("org/absent", ""), ("org/tiny", "v2"), ("absent-folder", "")):
        path = tmp_path / "tiny.toml"
        path.write_text(f'name = "Tiny"\nbackend = "image-text"\nmodel = "{model}"\nrevision = "{revision}"\n')
        with pytest.raises(CheckpointError) as caught:
            ImageTextBackend(load_description(path))
        assert str(caught.value) == (
            f"{model}: no such folder, not in the local cache of the hub, and the hub cannot be reached or "
            "HF_HUB_OFFLINE is set; correct the name, or download the model with `hf download`"
        )


@pytest.mark.parametrize("model", ["../absent/folder", "/absent/folder", "a/b/c", "x" * 300])
def test_a_path_that_does_not_exist_is_no_hub_name(tmp_path: Path, model: str) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(f'name = "Tiny"\nbackend = "image-text"\nmodel = "{model}"\n')
    with pytest.raises(CheckpointError) as caught:
        ImageTextBackend(load_description(path))
    assert str(caught.value).startswith(f"{model}: no such folder")


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "code.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'was-run')!r}).touch()\nclass Config: pass\n"
    )
    auto_map = dict.fromkeys(("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor"), "code.Config")
    (folder / "config.json").write_text(json.dumps({"model_type": "own_vl", "auto_map": auto_map}))
    assert refused(folder).startswith("model: needs code from its repository, which is never run because")
    assert not (tmp_path / "was-run").exists()


def test_code_of_a_processor_is_never_run(copy: Path) -> None:
    (copy / "code.py").write_text(
        f"from pathlib import Path\nPath({str(copy / 'was-run')!r}).touch()\nclass Processor: pass\n"
    )
    settings = {"processor_class": "OwnProcessor", "auto_map": {"AutoProcessor": "code.Processor"}}
    (copy / "processor_config.json").write_text(json.dumps(settings))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "llava"}))
    refused(copy)
    assert not (copy / "was-run").exists()


def test_a_kernel_of_a_hub_is_code_too(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["_attn_implementation"] = "kernels-community/flash-attn3"
    (copy / "config.json").write_text(json.dumps(config))
    assert refused(copy).startswith("model: needs code from its repository, which is never run")


def test_a_native_class_is_used_although_the_folder_has_code(copy: Path) -> None:
    (copy / "code.py").write_text("raise SystemExit")
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageTextToText": "code.Model"}
    (copy / "config.json").write_text(json.dumps(config))
    assert ImageTextBackend(describe(copy)).info.model == "model"


def test_a_model_of_the_other_backend_names_that_backend(llava: Path, vit_gpt2: Path) -> None:
    assert refused(vit_gpt2) == (
        "vit_gpt2: model_type is 'vision-encoder-decoder', which needs backend = \"encoder-decoder\"; change the "
        "backend"
    )
    with pytest.raises(CheckpointError, match=r"^llava: model_type is 'llava', which needs backend = \"image-text\""):
        EncoderDecoderBackend(describe(llava, backend="encoder-decoder"))


def test_a_text_model_is_refused(tmp_path: Path) -> None:
    llama = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    write_pretrained(tmp_path / "text", llama)
    assert refused(tmp_path / "text").startswith("text: model_type is 'llama', which is no image-text model")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"model_type": 3}', '{"model_type": ["llava"]}'])
def test_a_damaged_configuration_is_one_sentence(copy: Path, content: str | None) -> None:
    if content is None:
        (copy / "config.json").unlink()
    else:
        (copy / "config.json").write_text(content)
    assert refused(copy).startswith("model: ")


def with_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def widen(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("damage", [with_pickle, truncate, widen])
def test_weights_that_are_no_fitting_safetensors_are_refused(copy: Path, damage: Callable[[Path], None]) -> None:
    damage(copy)
    assert refused(copy).startswith(
        "model: no safetensors weights that fit its config.json; pickle weights (pytorch_model.bin) are refused"
    )


def test_missing_weights_are_refused(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    name = next(name for name in state if name.endswith("lm_head.weight"))
    del state[name]
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    assert refused(copy) == "model: its weights lack 1 tensors, lm_head.weight first; download the model again"


def test_an_adapter_does_not_load_its_base(copy: Path) -> None:
    (copy / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/else"}))
    assert refused(copy) == (
        "model: is an adapter (adapter_config.json); name its base as the model, and its folder with [adapter]"
    )


@pytest.mark.parametrize(
    "names",
    [
        ["processor_config.json"],
        ["tokenizer.json"],
        ["processor_config.json", "tokenizer.json", "tokenizer_config.json"],
    ],
)
def test_a_missing_processor_is_one_sentence(copy: Path, names: list[str]) -> None:
    for name in names:
        (copy / name).unlink()
    assert "processor" in refused(copy)


def test_a_processor_without_images_is_refused(copy: Path) -> None:
    (copy / "processor_config.json").unlink()
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    settings.pop("processor_class", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    assert "processor" in refused(copy)


def test_files_that_cannot_be_read_are_one_sentence(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", "config.json")

    monkeypatch.setattr(hub_loading.PreTrainedConfig, "get_config_dict", fail)
    assert refused(copy) == ("model: its files cannot be read or stored (Permission denied); check the permissions")


def test_a_full_disk_is_one_sentence(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_loading.AutoModelForImageTextToText, "from_pretrained", fail)
    assert refused(copy).endswith("(No space left on device); free disk space, or set HF_HOME")


def test_exhausted_memory_is_a_resource_error(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(hub_loading.AutoModelForImageTextToText, "from_pretrained", fail)
    assert refused(copy, ResourceError).startswith("model: not enough memory to load the model; set runtime.dtype")


@pytest.mark.parametrize(
    ("runtime", "dtype"),
    [({}, "float32"), ({"dtype": "bfloat16"}, "bfloat16"), ({"device_map": "auto"}, "float32")],
)
def test_the_description_chooses_type_and_placement(llava: Path, runtime: dict[str, Any], dtype: str) -> None:
    backend = ImageTextBackend(describe(llava, runtime=runtime), device="auto" if runtime else "cpu")
    assert (backend.info.dtype, backend.info.device) == (dtype, "cpu")
    (replies,) = backend.generate([chat()], Decoding(method="greedy", max_tokens=3), no_deadline)
    assert isinstance(replies, tuple)
    assert len(replies[0].probabilities) == 3


def test_quantization_needs_its_library_and_a_gpu(llava: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = {"quantization": "4bit"}
    monkeypatch.setattr(hub_loading, "find_spec", lambda _: None)
    assert refused(llava, UsageError, runtime=runtime).startswith(
        "runtime.quantization needs bitsandbytes; pip install"
    )
    monkeypatch.setattr(hub_loading, "find_spec", lambda _: object())
    assert refused(llava, UsageError, runtime=runtime).startswith("runtime.quantization needs a GPU, and the device is")


def test_a_device_that_is_absent_is_a_usage_error(llava: Path) -> None:
    with pytest.raises(UsageError, match="device 'cuda:77' is not available"):
        ImageTextBackend(describe(llava), device="cuda:77")


def test_a_configuration_that_the_weights_cannot_fill_is_refused_before_memory_is_taken(copy: Path) -> None:
    """transformers would take the default of the missing part, a Llama of 6.7 billion parameters."""
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"text_config": None}))
    assert "its config.json describes 6," in refused(copy)
