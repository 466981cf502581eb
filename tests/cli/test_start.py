"""Commands that need no model start without PyTorch. A limit on the time would fail on a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import write_manifest

MODEL_LIBRARIES = {"torch", "torchvision", "transformers", "timm", "accelerate", "peft"}
DATA_LIBRARIES = {"datasets", "pyarrow", "pandas"}
IMAGE_LIBRARIES = {"pydicom", "PIL", "gdcm"}
NUMERIC_LIBRARIES = {"numpy", "scipy", "matplotlib"}

PROGRAM = """
import json, sys
from report_gen.cli.app import main
for arguments in json.loads(sys.argv.pop()):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, (arguments, stop.code)
print("MODULES", *{name.partition(".")[0] for name in sys.modules})
"""


def loaded_modules(*calls: list[str]) -> set[str]:
    """Top-level modules that a fresh process has loaded after these calls of the console script, which succeed."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_and_explain_load_no_library_for_models_data_images_or_numbers() -> None:
    commands = [[], ["draft"], ["demo"], ["score"], ["evaluate"], ["train"], ["corpus"]]
    commands += [["corpus", name] for name in ("check", "split", "convert", "clean")]
    loaded = loaded_modules(*([*command, "--help"] for command in commands), ["--version"], ["train", "--explain"])
    assert "report_gen_training" in loaded
    assert not loaded & (MODEL_LIBRARIES | DATA_LIBRARIES | IMAGE_LIBRARIES | NUMERIC_LIBRARIES)


def test_score_loads_no_library_for_models_data_or_dicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("drafts", "references"):
        (tmp_path / f"{name}.csv").write_text("id,report\na,The lungs are clear.\nb,Small pleural effusion.\n")
    monkeypatch.chdir(tmp_path)
    loaded = loaded_modules(["score", "drafts.csv", "references.csv", "--no-java", "--bootstrap", "0"])
    assert "numpy" in loaded
    assert not loaded & (MODEL_LIBRARIES | DATA_LIBRARIES | {"pydicom", "gdcm", "matplotlib"})


def test_corpus_check_loads_no_library_for_models(tmp_path: Path) -> None:
    rows = [{"id": "1", "findings": "The lungs are clear."}, {"id": "2", "findings": "Small pleural effusion."}]
    loaded = loaded_modules(["corpus", "check", str(write_manifest(tmp_path / "data", rows))])
    assert "datasets" in loaded
    assert not loaded & MODEL_LIBRARIES
