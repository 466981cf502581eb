"""Drafts of all kinds that the command line writes follow the published JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from report_gen.outputs import json_schema
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
from tests.dicom_files import write_dicom


def picture(folder: Path) -> list[object]:
    return [write_png(folder / "chest.png", noise_image(0))]


def black_image(folder: Path) -> list[object]:
    return [write_png(folder / "black.png", np.zeros_like(noise_image(0)))]


def dicom_file(folder: Path) -> list[object]:
    return [write_dicom(folder / "a.dcm", np.arange(1024, dtype=np.uint16).reshape(32, 32), ViewPosition="PA")]


def several_views(folder: Path) -> list[object]:
    views = [write_png(folder / f"{number}.png", noise_image(number)) for number in range(3)]
    return [*views, "--as-study", "--view", "PA"]


def overridden(folder: Path) -> list[object]:
    findings = ("Pneumonia=present", "Pneumothorax=absent", "Edema=uncertain", "Fracture=unknown")
    return [*picture(folder), *(word for one in findings for word in ("--finding", one))]


def with_indication(folder: Path) -> list[object]:
    return [*picture(folder), "--indication", "Cough <b>&\x1b[31m 肺"]


def sampled(folder: Path) -> list[object]:
    return [*picture(folder), "--method", "sample", "--seed", "7"]


def forced(folder: Path) -> list[object]:
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    return [write_dicom(folder / "hand.dcm", pixels, BodyPartExamined="HAND"), "--force"]


@pytest.mark.parametrize(
    "arguments", [picture, black_image, dicom_file, several_views, overridden, with_indication, sampled, forced]
)
def test_a_draft_follows_the_schema(draft: Command, tmp_path: Path, arguments: Any) -> None:
    answer = draft(*arguments(tmp_path), "--format", "json")
    assert answer.code == 0, answer.err
    jsonschema.validate(json.loads(answer.out), json_schema(), cls=jsonschema.Draft202012Validator)
