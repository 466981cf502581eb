"""Commands that need no model start without PyTorch. A limit on the time would fail on a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.uid import EnhancedSRStorage

from report_gen.errors import CorpusError
from report_gen.outputs import format_json, format_text
from report_gen.reading.plain_reports import empty_provenance
from report_gen.records import Report, parse_report
from tests.builders import (
    FINDINGS,
    THRESHOLDS,
    noise_image,
    tiny_config,
    tiny_model,
    write_checkpoint,
    write_manifest,
    write_png,
)
from tests.sr_files import code, content, document

MODEL_LIBRARIES = {"torch", "torchvision", "transformers", "timm", "accelerate", "peft"}
DATA_LIBRARIES = {"datasets", "pyarrow", "pandas"}
IMAGE_LIBRARIES = {"pydicom", "PIL", "gdcm"}
NETWORK_LIBRARIES = {"pynetdicom", "urllib3"}
NUMERIC_LIBRARIES = {"numpy", "scipy", "matplotlib"}
CLINICAL_LIBRARIES = {"highdicom", "jinja2", "weasyprint", "fhir", "pynetdicom"}
DUPLICATE_LIBRARIES = {"datasketch", "imagehash"}  # not scipy: datasets imports nibabel, which imports its top level

PROGRAM = """
import json, sys
from report_gen.cli import main
calls, exit_code = json.loads(sys.argv.pop()), int(sys.argv.pop())
for arguments in calls:
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as stop:
        assert (stop.code or 0) == exit_code, (arguments, stop.code)
print("MODULES", *{name.partition(".")[0] for name in sys.modules})
"""


DRAFT = """
import atexit, sys
from report_gen.cli import run
atexit.register(print, "SHUTDOWN")
sys.argv[1:] = ["draft", *sys.argv[1:]]
run()
"""


def loaded_modules(*calls: list[str], exit_code: int = 0) -> set[str]:
    """Top-level modules that a fresh process has loaded after these calls of the console script."""
    command = [sys.executable, "-c", PROGRAM, str(exit_code), json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_and_explain_load_no_library_for_models_data_images_or_numbers() -> None:
    commands = [[], ["draft"], ["series"], ["send"], ["demo"], ["score"], ["evaluate"], ["train"], ["corpus"]]
    commands += [["corpus", name] for name in ("check", "split", "convert", "clean")]
    loaded = loaded_modules(*([*command, "--help"] for command in commands), ["--version"], ["train", "--explain"])
    assert "report_gen_training" in loaded
    assert not loaded & (MODEL_LIBRARIES | DATA_LIBRARIES | IMAGE_LIBRARIES | NUMERIC_LIBRARIES | NETWORK_LIBRARIES)
    assert not loaded & CLINICAL_LIBRARIES


def test_a_draft_loads_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    """The architectures of the embedded model: a GPT-2, and a ResNet that is not one of timm."""
    write_png(tmp_path / "chest.png", noise_image())
    findings = {"present": THRESHOLDS}
    config = tiny_config(
        encoder="gluon_resnetv2_50_stage3", findings=findings, locations={"trained": [True] * len(FINDINGS)}
    )
    write_checkpoint(tmp_path / "tiny", model=tiny_model(config))
    loaded = loaded_modules(["draft", str(tmp_path / "chest.png"), "--checkpoint", str(tmp_path / "tiny")])
    assert "torch" in loaded
    assert not loaded & ((MODEL_LIBRARIES - {"torch"}) | DATA_LIBRARIES | CLINICAL_LIBRARIES)
    # sympy and mpmath: torch imports them with its compiler, for example to compute on the device `meta`.
    assert not loaded & {"scipy", "matplotlib", "sympy", "mpmath", "tokenizers", "huggingface_hub", "httpx"}


@pytest.mark.parametrize(("name", "exit_code"), [("chest.png", 0), ("absent.png", 3)])
def test_the_console_script_ends_a_draft_without_the_shutdown_of_python(
    tmp_path: Path, name: str, exit_code: int
) -> None:
    """Nothing that was printed or written is lost."""
    write_png(tmp_path / "chest.png", noise_image())
    write_checkpoint(tmp_path / "tiny")
    arguments = [str(tmp_path / name), "--checkpoint", str(tmp_path / "tiny"), "--format", "txt", "--format", "json"]
    arguments += ["-o", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", DRAFT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == exit_code
    assert "SHUTDOWN" not in done.stdout
    if exit_code:
        assert "absent.png" in done.stderr
    else:
        assert "drafts written" in done.stderr
        assert json.loads((tmp_path / "out" / "chest.json").read_text())["findings"]
        assert (tmp_path / "out" / "chest.txt").read_text().endswith("\n")


def test_score_loads_no_library_for_models_data_or_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("drafts", "references"):
        (tmp_path / f"{name}.csv").write_text("id,report\na,The lungs are clear.\nb,Small pleural effusion.\n")
    report = Report(
        sections=parse_report("The lungs are clear."), findings=(), notices=(), provenance=empty_provenance()
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.json").write_text(format_json(report))
    (tmp_path / "folder" / "b.txt").write_text(format_text(report))
    monkeypatch.chdir(tmp_path)
    options = ["references.csv", "--no-java", "--bootstrap", "0"]
    loaded = loaded_modules(["score", "drafts.csv", *options], ["score", "folder", *options])
    assert "numpy" in loaded
    assert not loaded & (MODEL_LIBRARIES | DATA_LIBRARIES | IMAGE_LIBRARIES | {"scipy", "matplotlib", "evaluate"})
    assert not loaded & CLINICAL_LIBRARIES


def test_score_reads_its_files_before_it_loads_rich(tmp_path: Path) -> None:
    loaded = loaded_modules(["score", str(tmp_path / "absent.csv"), "references.csv"], exit_code=CorpusError.exit_code)
    assert "numpy" in loaded
    assert not loaded & {"rich", "snowballstemmer"}


def test_corpus_commands_load_no_library_for_models(tmp_path: Path) -> None:
    loaded = loaded_modules(["corpus", "check", str(write_reports(tmp_path))])
    assert "datasets" in loaded
    assert not loaded & (MODEL_LIBRARIES | {"imagehash"})


def test_corpora_are_converted_without_the_libraries_that_find_duplicates(tmp_path: Path) -> None:
    data = str(write_reports(tmp_path))
    loaded = loaded_modules(
        *(["corpus", name, data, "-o", str(tmp_path / name)] for name in ("convert", "clean", "split"))
    )
    assert "datasets" in loaded
    assert not loaded & (MODEL_LIBRARIES | DUPLICATE_LIBRARIES)


def write_reports(folder: Path) -> Path:
    """Write a corpus of ten reports without images, enough for three splits."""
    rows = [{"id": str(number), "findings": f"Pleural effusion of {number} cm."} for number in range(10)]
    return write_manifest(folder / "data", rows)


def test_structured_reports_are_read_without_the_library_that_writes_them(tmp_path: Path) -> None:
    """The extra `clinical` is not needed to read a report."""
    item = content("CONTAINER", code("59776-5", "LN"), content("TEXT", code("121071", "DCM"), text="Clear."))
    document(tmp_path / "a.dcm", item, Manufacturer="report-gen", kind=EnhancedSRStorage)
    program = "import sys; from report_gen import read_report; print(read_report(sys.argv[1]).sections, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.dcm")], capture_output=True, text=True, check=True
    )
    assert "Clear." in done.stdout
    assert not set(done.stdout.split()) & CLINICAL_LIBRARIES
