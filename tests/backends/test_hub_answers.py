"""Tests of models that come from a hub: one that runs on this computer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from report_gen.backends import ImageTextBackend, ModelDescription, describe_hub_model, load_description
from report_gen.errors import CheckpointError
from tests.backends.hub_server import COMMIT, HubServer, running_hub


@pytest.fixture
def hub(llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    constants = huggingface_hub.constants
    with running_hub(llava) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server


@pytest.fixture
def described(tmp_path: Path) -> ModelDescription:
    path = tmp_path / "tiny.toml"
    path.write_text('name = "Tiny"\nbackend = "image-text"\nmodel = "org/tiny"\nrevision = "v2"\n')
    return load_description(path)


def test_a_model_is_downloaded_and_its_commit_recorded(
    hub: HubServer, llava: Path, described: ModelDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = ImageTextBackend(described).info
    assert (info.model, info.revision) == ("org/tiny", COMMIT)
    assert info.weights_sha256 == hashlib.sha256((llava / "model.safetensors").read_bytes()).hexdigest()
    files = [path for path in hub.paths if "/resolve/" in path]
    by_commit = [COMMIT in path for path in files]
    assert set(files[: by_commit.index(True)]) == {"/org/tiny/resolve/v2/config.json"}
    assert all(by_commit[by_commit.index(True) :])  # the branch may have moved meanwhile
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    requests = len(hub.paths)
    assert ImageTextBackend(described).info == info
    assert len(hub.paths) == requests


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (
            403,
            "GatedRepo",
            "access is gated; accept the license on the page of the model at the hub, then run `hf auth",
        ),
        (
            401,
            "GatedRepo",
            "access is gated; accept the license on the page of the model at the hub, then run `hf auth",
        ),
        (404, "RepoNotFound", "no such folder, and no such model at the hub; correct the name, or run `hf auth login`"),
        (401, "RepoNotFound", "no such folder, and no such model at the hub; correct the name, or run `hf auth login`"),
        (404, "RevisionNotFound", "the hub has no such revision; correct revision in the description"),
        (400, "", "the hub answers with an error; try again later"),
    ],
)
def test_a_refusal_of_the_hub_is_one_sentence(
    hub: HubServer, described: ModelDescription, status: int, code: str, message: str
) -> None:
    hub.failure = (status, code)
    with pytest.raises(CheckpointError) as caught:
        ImageTextBackend(described)
    assert str(caught.value).startswith(f"org/tiny: {message}")
    assert "\n" not in str(caught.value)


def test_a_hub_without_the_files_of_a_model(hub: HubServer, tmp_path: Path) -> None:
    hub.folder = tmp_path
    with pytest.raises(CheckpointError) as caught:
        ImageTextBackend(describe_hub_model("org/tiny"))
    assert str(caught.value).startswith("org/tiny: no config.json of transformers")


def test_a_hub_that_cannot_be_reached(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the attempts
    address = "http://127.0.0.1:9"  # the port of the discard service, which nothing serves
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    with pytest.raises(CheckpointError, match=r"^org/tiny: no such folder, not in the local cache of the hub, and the"):
        ImageTextBackend(describe_hub_model("org/tiny"))
    assert hub.paths == []
