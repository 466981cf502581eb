"""No patient data where the table does not allow it, whatever the command and however it ends.

The inputs consist of marks: see `marks.py`. Every command runs with `-v -v`. All that it leaves is searched: standard
output, standard error, every file, and home, cache and temporary folder. `SECURITY.md` explains the table to users.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.builders import FINDINGS, THRESHOLDS, tiny_config, tiny_model, write_checkpoint
from tests.phi.console import Console, Traces
from tests.phi.marks import (
    MARKS,
    describe_marks,
    kinds_in,
    write_marked_corpus,
    write_marked_dicom,
    write_marked_report,
)

NAMES = frozenset({"file name", "folder name"})
UIDS = frozenset({"study uid", "image uid"})
TEXTS = frozenset({"report", "indication", "order"})
IDS = frozenset({"study id"})
CORPUS = NAMES | TEXTS | IDS | {"patient id"}

ALLOWED: dict[str, dict[str, frozenset[str]]] = {
    # An error or a notice names the file.
    "draft": {"stderr": NAMES, "cwd/out/*.json": UIDS},
    "draft --format json": {"stdout": UIDS, "stderr": NAMES},
    "corpus check": {
        "stdout": NAMES,
        "stderr": NAMES,
        "cwd/check.json": NAMES,
        "cwd/check.html": NAMES | IDS | {"report"},
    },
    # The new corpus is a copy of the corpus.
    "corpus write": {"stderr": NAMES, "cwd/out/manifest.jsonl": CORPUS},
    "score": {"stderr": NAMES | IDS, "cwd/*.html": IDS | {"report"}, "cwd/*.csv": IDS | {"report"}},
    "evaluate": {
        "stderr": NAMES,
        "cwd/*.json": NAMES | IDS,
        "cwd/*.html": IDS | {"report"},
        "cwd/*.csv": IDS | {"report"},
    },
    "train --dry-run": {"stdout": IDS | TEXTS, "stderr": NAMES},
    "train": {
        "stderr": NAMES,
        # Pieces of words are the words themselves, if the vocabulary has room for them.
        "cwd/run/tokenizer.model": TEXTS,
        "cwd/run/best/tokenizer.model": TEXTS,
        "cwd/run/samples.*": NAMES | IDS | {"report"},
        "cwd/run/tensorboard/*": NAMES | IDS | {"report"},
        "cwd/run/cache/*": CORPUS,
    },
    "demo": {},
}
"""Kinds of marks by command and place. What is not listed must contain none; the mark `header` is allowed nowhere."""

FILE_NAMES = frozenset({"study uid", "file name"})
"""Kinds of marks in the names of files that are written."""

RECIPE = """
name = "tiny"
precision = "fp32"
text = { vocabulary_size = 200, max_report_tokens = 60 }
corpora = [{ name = "images", path = "corpus" }]
[model]
encoder = { name = "test_vit", image_size = 32, channels = 1, arguments = { img_size = 32 } }
decoder = { width = 32, layers = 1, heads = 2, positions = 160 }
[[stages]]
name = "all"
corpora = ["images"]
steps = 2
validate_every = 1
rates = { decoder = 1e-3 }
"""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Console(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marked_corpus(tmp_path_factory.mktemp("data") / "corpus")


def assert_allowed(traces: Traces, command: str) -> None:
    """Compare what a command left with the table."""
    for place, kinds in traces.kinds.items():
        allowed = frozenset().union(*(ok for pattern, ok in ALLOWED[command].items() if fnmatch(place, pattern)))
        assert kinds <= allowed, f"{place}: {sorted(kinds - allowed)} {describe_marks(traces.contents[place])}"
    for place in traces.contents:
        assert kinds_in(place.encode()) <= FILE_NAMES, place
        assert not place.startswith("tmp/"), place


# ---- draft ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [[], ["--format", "json"], ["--attention", "a.png"], ["--show-preprocessing", "p.png"]]
)
@pytest.mark.parametrize("coded_marks", [False, True])
def test_a_draft(console: Console, checkpoint: Path, tmp_path: Path, options: list[str], coded_marks: bool) -> None:
    file = write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE.dcm", seed=1, coded_marks=coded_marks)
    arguments = ("draft", file, "--checkpoint", checkpoint, "--candidates", 1, "--force", *options, "-v", "-v")
    traces = console.run(*arguments)
    assert traces.code == 0, traces.contents["stderr"].decode()
    assert_allowed(traces, "draft --format json" if "json" in options else "draft")
    assert ("study uid" in traces.kinds.get("stdout", ())) == ("json" in options)


def test_a_draft_with_a_prior_study(console: Console, tmp_path: Path) -> None:
    zeros = [0.0] * len(FINDINGS)
    changes = {"trained": [True] * len(FINDINGS), "bias": zeros, "persistence": zeros, "threshold": 0.01}
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS}, changes=changes))
    checkpoint = write_checkpoint(tmp_path / "comparing", model=model)
    file = write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE1.dcm", seed=1)
    dated = {"StudyDate": "18230510", "SOPInstanceUID": "1.2.840.55555.2.2"}
    prior = write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE2.dcm", seed=2, PatientID="ZPATIENT1", **dated)
    other = write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE3.dcm", seed=3, **dated)
    report = tmp_path / "ZFOLDER" / "ZFILE.txt"
    report.write_text("FINDINGS: Small effusion. ZREPORT")
    options = ("--checkpoint", checkpoint, "--candidates", 1, "--force", "-v", "-v", "--format", "json")
    traces = console.run("draft", file, "--prior", prior, "--prior-report", report, *options)
    assert traces.code == 0, traces.contents["stderr"].decode()
    assert b"Chest radiograph, 7 days earlier." in traces.contents["stdout"]
    assert b"18230510" not in traces.contents["stdout"] + traces.contents["stderr"]
    assert_allowed(traces, "draft --format json")
    traces = console.run("draft", file, "--prior", other, *options)
    assert traces.code == 3
    assert b"it shows another patient (different Patient ID)" in traces.contents["stderr"]
    assert_allowed(traces, "draft --format json")


def test_refusals_of_draft(console: Console, tmp_path: Path) -> None:
    """The embedded model has a scope, so the file with marks in the coded attributes is refused."""
    whole = write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE0.dcm")
    refused = [
        write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE1.dcm", coded_marks=True),
        write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE2.dcm", coded_marks=True, PatientSpeciesDescription="human"),
        write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE3.dcm", PhotometricInterpretation="ZQ00280004"),
        write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE4.dcm", SOPClassUID="1.2.840.88888.1"),
        write_marked_dicom(tmp_path / "ZFOLDER" / "ZFILE5.dcm", Rows=0),
        write_marked_report(tmp_path / "ZFOLDER" / "ZFILE6.dcm"),
        tmp_path / "ZFOLDER" / "ZFILE7.dcm",
        tmp_path / "ZFOLDER" / "ZFILE8.png",
    ]
    refused[-2].write_bytes(whole.read_bytes()[:-50])
    refused[-1].write_bytes(b"ZQ00000000 is no image")
    for file in refused:
        traces = console.run("draft", file, "-v", "-v")
        assert traces.code == 3, traces.contents["stderr"].decode()
        assert "file name" in traces.kinds["stderr"]
        assert_allowed(traces, "draft")


def test_drafts_of_folders(console: Console, checkpoint: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        write_marked_dicom(tmp_path / f"ZFOLDER{number}" / "ZFILE.dcm", seed=number)
        write_marked_report(tmp_path / f"ZFOLDER{number}" / "ZFILE-report.dcm", seed=number)
    two = write_marked_dicom(tmp_path / "ZFOLDER3" / "ZFILE-1.dcm", seed=3)
    write_marked_dicom(
        two.with_name("ZFILE-2.dcm"), seed=3, PatientID="ZPATIENT-other", SOPInstanceUID="1.2.840.55555.2.9"
    )
    (tmp_path / "ZFOLDER3" / "ZFILE.txt").write_text("ZREPORT")
    folders = sorted(tmp_path.iterdir())
    options = ("--checkpoint", checkpoint, "--candidates", 1, "--force", "-v", "-v")  # the breed is marked too
    traces = console.run("draft", *folders, "-o", "out", "--format", "json", *options)
    assert traces.code == 3
    assert b"Patient ID differ" in traces.contents["stderr"]
    assert_allowed(traces, "draft")
    traces = console.run("draft", *folders[:2], *options)
    assert traces.kinds.keys() <= {"stdout", "stderr"}
    assert traces.kinds["stdout"] == {"study uid"}  # the name of a study that lies in a folder


# ---- corpora --------------------------------------------------------------------------------------------------------


def test_corpus_check(console: Console, corpus: Path, tmp_path: Path) -> None:
    traces = console.run("corpus", "check", corpus, "--json", "check.json", "--html", "check.html", "-v", "-v")
    assert traces.code == 0
    assert_allowed(traces, "corpus check")
    broken = write_marked_corpus(tmp_path / "broken")
    file = broken / "ZFOLDER" / "ZFILE3.dcm"
    file.write_bytes(file.read_bytes()[:-50])
    traces = console.run("corpus", "check", broken, "--json", "check.json", "--html", "check.html", "-v", "-v")
    assert "file name" in traces.kinds["cwd/check.json"]
    assert_allowed(traces, "corpus check")


@pytest.mark.parametrize("command", ["clean", "split", "convert"])
def test_corpus_commands_that_write(console: Console, corpus: Path, command: str) -> None:
    traces = console.run("corpus", command, corpus, "--output", "out", "-v", "-v")
    assert traces.code == 0, traces.contents["stderr"].decode()
    assert traces.kinds["cwd/out/manifest.jsonl"] == CORPUS
    assert_allowed(traces, "corpus write")


@pytest.mark.parametrize(
    "fault",
    [
        {"images": ["ZFOLDER/ZFILE-missing.dcm"]},
        {"study_id": "ZSTUDY1"},
        {"patient_id": "ZPATIENT1", "split": "test"},
        {"findings": "ZREPORT\0"},
        {"impression": ["ZREPORT"]},
        {"split": "train"},
    ],
)
@pytest.mark.parametrize("command", ["split", "convert"])
def test_faulty_corpora(console: Console, tmp_path: Path, command: str, fault: dict[str, object]) -> None:
    folder = write_marked_corpus(tmp_path / "corpus")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    rows[0] |= fault
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert_allowed(console.run("corpus", command, folder, "--output", "out", "-v", "-v"), "corpus write")


def test_a_corpus_of_dicom_studies_with_structured_reports(console: Console, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_marked_dicom(tmp_path / "corpus" / f"ZFOLDER{number}" / "ZFILE.dcm", seed=number)
        write_marked_report(tmp_path / "corpus" / f"ZFOLDER{number}" / "ZFILE-report.dcm", seed=number)
    traces = console.run("corpus", "convert", tmp_path / "corpus", "--output", "out", "-v", "-v")
    assert traces.code == 0, traces.contents["stderr"].decode()
    manifest = "cwd/out/manifest.jsonl"
    assert traces.kinds[manifest] == NAMES | TEXTS | {"patient id", "study uid"}
    assert traces.kinds.keys() <= {manifest, "stderr"}
    assert traces.kinds.get("stderr", frozenset()) <= NAMES


# ---- scores ---------------------------------------------------------------------------------------------------------


def reports(path: Path, corpus: Path, prefix: str = "") -> Path:
    rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    with path.open("w", newline="") as file:
        table = [(prefix + row["study_id"], f"{row['findings']} {path.stem}") for row in rows]
        csv.writer(file).writerows([("study_id", "report"), *table])
    return path


def test_score(console: Console, corpus: Path, tmp_path: Path) -> None:
    drafts, references = reports(tmp_path / "drafts.csv", corpus), reports(tmp_path / "references.csv", corpus)
    other = reports(tmp_path / "train.csv", corpus, "x")
    outputs = ("--json", "s.json", "--html", "s.html", "--csv", "s.csv", "--bootstrap", 100, "--no-java", "-v", "-v")
    traces = console.run("score", drafts, references, "--train", other, *outputs)
    assert traces.code == 0
    assert {"cwd/s.json", "cwd/s.html", "cwd/s.csv"} <= traces.contents.keys()
    assert_allowed(traces, "score")
    traces = console.run("score", drafts, other, "-v", "-v")
    assert traces.code == 3
    assert_allowed(traces, "score")


def test_evaluate(console: Console, checkpoint: Path, corpus: Path, tmp_path: Path) -> None:
    outputs = ("--json", "e.json", "--html", "e.html", "--csv", "e.csv", "--no-java", "--bootstrap", 100, "-v", "-v")
    options = ("--split", "all", "--candidates", 1, *outputs)
    traces = console.run("evaluate", checkpoint, corpus, *options)
    assert traces.code == 0
    assert_allowed(traces, "evaluate")
    broken = write_marked_corpus(tmp_path / "broken")
    file = broken / "ZFOLDER" / "ZFILE3.dcm"
    file.write_bytes(file.read_bytes()[:-50])
    traces = console.run("evaluate", checkpoint, broken, *options)
    assert traces.code == 3
    assert_allowed(traces, "evaluate")


# ---- training and demo ----------------------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path: Path) -> tuple[object, ...]:
    write_marked_corpus(tmp_path / "corpus")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return ("train", tmp_path / "tiny.toml", "--set", f"data={tmp_path}", "-v", "-v")


def test_train(console: Console, recipe: tuple[object, ...]) -> None:
    traces = console.run(*recipe, "--output", "run")
    assert traces.code == 0, traces.contents["stderr"].decode()
    assert any(place.startswith("cwd/run/tensorboard/") for place in traces.kinds)
    assert {place for place in traces.kinds if place.startswith("cwd/run/best/")} <= {"cwd/run/best/tokenizer.model"}
    assert_allowed(traces, "train")


def test_train_dry_run(console: Console, recipe: tuple[object, ...]) -> None:
    traces = console.run(*recipe, "--dry-run")
    assert traces.code == 0
    assert "report" in traces.kinds["stdout"]
    assert_allowed(traces, "train --dry-run")


def test_train_that_fails(console: Console, recipe: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "corpus" / "ZFOLDER" / "ZFILE3.dcm").unlink()
    traces = console.run(*recipe, "--output", "run")
    assert traces.code == 3
    assert "file name" in traces.kinds["stderr"]
    assert_allowed(traces, "train")


def test_demo(console: Console) -> None:
    traces = console.run("demo", "--output", "out")
    assert traces.code == 0
    assert_allowed(traces, "demo")


# ---- crashes --------------------------------------------------------------------------------------------------------


def test_a_crash_leaves_no_core_dump() -> None:
    """A core dump would contain the images and headers in memory. The limit also holds for child processes."""
    code = (
        "import resource; from report_gen.terminal import run_app\n"
        "run_app(lambda: print(resource.getrlimit(resource.RLIMIT_CORE)[0]))"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)

    def allow_core_dumps() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, preexec_fn=allow_core_dumps
    )
    assert run.stdout == "0\n"


# ---- the search itself ----------------------------------------------------------------------------------------------


def test_every_kind_of_mark_is_in_the_inputs_and_is_found(corpus: Path, tmp_path: Path) -> None:
    found = set()
    for path in corpus.rglob("*"):
        found |= kinds_in(path.read_bytes()) if path.is_file() else set()
    assert found == set(MARKS)
    content = write_marked_dicom(tmp_path / "a.dcm", coded_marks=True).read_bytes()
    named = describe_marks(content)
    for keyword in (
        "PatientName",
        "PatientComments",
        "InstitutionName",
        "OperatorsName",
        "DeviceSerialNumber",
        "Modality",
    ):
        assert keyword in named
    for mark in ("ZQ00000000", "ZQ00111001", "ZQ00111002", "ZQ60003000", "ZQFFFCFFFC", "ZQ00020102", "18230517"):
        assert mark in named
    assert named.count(",") > 1000
