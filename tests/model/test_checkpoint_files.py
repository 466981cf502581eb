"""Files of checkpoints from strangers: pipes, devices, huge files, malformed headers, and JSON that deceives."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from report_gen.errors import CheckpointError
from report_gen.model import load_checkpoint, read_config
from report_gen.model.checkpoint_files import CONFIG, MANIFEST, MAX_BYTES, PROMPT, TOKENIZER, TRAINING, WEIGHTS
from tests.checkpoint_damage import SEALED_FILES, little_memory, reseal


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


@pytest.mark.parametrize("name", [*SEALED_FILES, MANIFEST])
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
    assert load_checkpoint(folder).model.config.name == "tiny"


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
    with pytest.raises(CheckpointError, match=rf"tiny/{name}: not valid JSON \({fault}"):
        load_checkpoint(folder)


def test_a_training_record_is_not_parsed(copied: Callable[[str], Path]) -> None:
    """Drafting needs nothing of it, so its nesting cannot matter."""
    folder = copied("gpt2")
    (folder / TRAINING).write_text("[" * 200_000)
    reseal(folder)
    assert load_checkpoint(folder).model.config.name == "tiny"


def test_a_lone_surrogate_in_the_name_is_refused(copied: Callable[[str], Path]) -> None:
    """Such a text cannot be printed."""
    folder = copied("gpt2")
    text = (folder / CONFIG).read_text().replace('"name": "tiny"', '"name": "ti\\ud800ny"')
    (folder / CONFIG).write_text(text)
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/config\.json: "):
        load_checkpoint(folder)


@pytest.mark.parametrize("size", [10, 1000, -10])
def test_a_damaged_vocabulary_is_refused_or_harmless(copied: Callable[[str], Path], size: int) -> None:
    folder = copied("gpt2")
    (folder / TOKENIZER).write_bytes((folder / TOKENIZER).read_bytes()[:size])
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/tokenizer\.model: "):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        ("{}", "has no 'schema_version'"),
        ("[]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"schema_version": "six"}', "'schema_version' is \"six\", not a number from 1"),
        ('{"schema_version": 0}', "'schema_version' is 0, not a number from 1"),
        ('{"schema_version": 6}', "has no 'name'"),
        ('{"format": 1}', "has no 'name'"),
        ('{"schema_version": 6, "name": "tiny"}', "has no 'vocabulary_size'"),
    ],
)
def test_a_configuration_that_no_release_wrote_is_called_damaged(
    copied: Callable[[str], Path], content: str, damage: str
) -> None:
    folder = copied("gpt2")
    (folder / CONFIG).write_text(content)
    reseal(folder)
    for load in (read_config, load_checkpoint):
        with pytest.raises(CheckpointError) as refused:
            load(folder)
        assert str(refused.value) == (
            f"{folder / CONFIG}: {damage}, so the file is damaged or was not written by report-gen; copy the "
            "checkpoint again, or give another folder"
        )


def test_a_configuration_of_a_later_release_names_the_remedy(copied: Callable[[str], Path]) -> None:
    folder = copied("gpt2")
    (folder / CONFIG).write_text('{"schema_version": 99}')
    with pytest.raises(CheckpointError, match=r"99 is not known; .*; install the release that wrote the checkpoint$"):
        read_config(folder)


def test_version_1_with_findings_of_a_wrong_type_names_the_key(copied: Callable[[str], Path]) -> None:
    folder = copied("gpt2")
    content = json.loads((folder / CONFIG).read_text()) | {"format": 1, "findings": 5}
    del content["schema_version"]
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"config\.json: findings: Input should be"):
        read_config(folder)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a\x00b"])
def test_a_folder_name_that_the_system_refuses_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read|no such checkpoint folder"):
        load_checkpoint(tmp_path / name)
