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
from tests.builders import write_manifest
from tests.sr_files import code, content, document

MODEL_LIBRARIES = {"torch", "torchvision", "transformers", "timm", "accelerate", "peft"}
DATA_LIBRARIES = {"datasets", "pyarrow", "pandas"}
IMAGE_LIBRARIES = {"pydicom", "PIL", "gdcm"}
NETWORK_LIBRARIES = {"pynetdicom", "urllib3"}
NUMERIC_LIBRARIES = {"numpy", "scipy", "matplotlib"}
CLINICAL_LIBRARIES = {"highdicom", "jinja2", "weasyprint", "fhir", "pynetdicom"}
DUPLICATE_LIBRARIES = {"datasketch", "imagehash"}
"""SciPy is not among them: `datasets` loads nibabel where it is installed, and nibabel the top of SciPy."""

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


def loaded_modules(*calls: list[str], exit_code: int = 0) -> set[str]:
    """Top-level modules that a fresh process has loaded after these calls of the console script."""
    command = [sys.executable, "-c", PROGRAM, str(exit_code), json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_and_explain_load_no_library_for_models_data_images_or_numbers() -> None:
    commands = [[], ["draft"], ["send"], ["demo"], ["score"], ["evaluate"], ["train"], ["corpus"]]
    commands += [["corpus", name] for name in ("check", "split", "convert", "clean")]
    loaded = loaded_modules(*([*command, "--help"] for command in commands), ["--version"], ["train", "--explain"])
    assert "report_gen_training" in loaded
    assert not loaded & (MODEL_LIBRARIES | DATA_LIBRARIES | IMAGE_LIBRARIES | NUMERIC_LIBRARIES | NETWORK_LIBRARIES)
    assert not loaded & CLINICAL_LIBRARIES


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
