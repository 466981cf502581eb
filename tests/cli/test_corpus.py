"""`report-gen corpus`: exit codes, output files, and one sentence for each wrong call."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from report_gen.cli import app as cli
from report_gen.corpora import SPLITS, read_corpus
from tests.builders import noise_image, write_manifest, write_png

Answer = tuple[int, str, str]
Command = Callable[..., Answer]


@pytest.fixture
def corpus_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`corpus_command("check", path)` gives exit code, standard output and standard error."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["report-gen", "corpus", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty studies of ten patients; the last patient is in two splits."""
    folder = tmp_path / "data"
    rows = []
    for number in range(20):
        write_png(folder / f"{number}.png", noise_image(number))
        split = "train" if number < 19 else "test"
        text = f"Stable heart. Opacity number {number}. Seen by XXXX."
        rows.append(
            {"id": f"{number}", "patient_id": f"p{number // 2}", "images": [f"{number}.png"], "findings": text}
            | {"split": split, "Edema": number % 2}
        )
    return write_manifest(folder, rows)


def test_check(corpus_command: Command, data: Path, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "new" / "check.json", "--html", tmp_path / "check.html")
    code, out, err = corpus_command("check", data, *files)
    assert code == 0
    assert "1 patients have studies in more than one split" in " ".join(out.split())
    assert "checking" in err
    assert json.loads((tmp_path / "new" / "check.json").read_text())["patients_in_several_splits"] == 1
    assert "data:image/jpeg" in (tmp_path / "check.html").read_text()
    assert corpus_command("check", data, "--strict")[0] == 6
    (data / "3.png").unlink()
    assert "1 of 20 images are missing" in " ".join(corpus_command("check", data)[1].split())
    assert "missing" not in corpus_command("check", data, "--no-images")[1]


def test_split(corpus_command: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "split"
    code, printed, _ = corpus_command("split", data, "-o", out, "--ratios", "60,20,20", "--seed", 3)
    assert code == 0
    corpus = read_corpus(out)
    counts = {name: corpus["split"][:].count(name) for name in SPLITS}
    assert counts == {"train": 12, "val": 4, "test": 4}
    assert printed == f"{out / 'manifest.jsonl'}: train 12, val 4, test 4 studies\n"
    record = json.loads((out / "split.json").read_text())
    assert (record["seed"], record["studies"], record["source"]) == (3, counts, str(data))
    assert record["findings"]["Edema"] == {"train": 6, "val": 2, "test": 2}
    assert corpus_command("check", out, "--strict")[0] == 0


def test_convert_and_clean(corpus_command: Command, data: Path, tmp_path: Path) -> None:
    corpus_command("split", data, "-o", tmp_path / "split")
    assert corpus_command("convert", tmp_path / "split", "-o", tmp_path / "converted")[0] == 0
    before, after = read_corpus(tmp_path / "split"), read_corpus(tmp_path / "converted")
    assert list(before) == list(after)
    code, out, _ = corpus_command("clean", tmp_path / "split", "-o", tmp_path / "clean", "--marks", "mask")
    assert code == 0
    assert "20 sentences removed for a prior" in out
    assert read_corpus(tmp_path / "clean")[0]["findings"] == "Opacity number 0. Seen by ___."
    assert json.loads((tmp_path / "clean" / "clean.json").read_text())["counts"]["studies changed"] == 20
    row = json.loads((tmp_path / "clean" / "manifest.jsonl").read_text().partition("\n")[0])
    assert row["removed"][0]["before"] == "Stable heart."


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "absent"], 3, "absent: no such file or folder"),
        (["check", "."], 3, "no known corpus layout"),
        (["check", "data", "--layout", "mimic"], 2, "unknown corpus layout 'mimic'"),
        (["check", "empty.jsonl"], 3, "empty.jsonl: the corpus has no studies"),
        (["check", "data", "--json", "data/0.png/x.json"], 5, "data/0.png: cannot be written, because a file has"),
        (["check"], 2, "PATH"),
        (["split", "data"], 2, "--output"),
        (["split", "data", "-o", "data"], 5, "manifest.jsonl: the file exists"),
        (["split", "data", "-o", "new", "--ratios", "0.8,0.2"], 2, "give three fractions for train, val, test"),
        (["split", "data", "-o", "new", "--ratios", "a,b,c"], 2, "give three fractions"),
        (["split", "data", "-o", "new", "--ratios", "0,0.5,0.5"], 2, "give three fractions"),
        (["split", "data", "-o", "new", "--ratios", "0.9,0.1,-1"], 2, "give three fractions"),
        (["split", "one.jsonl", "-o", "new"], 3, "one.jsonl: 1 patients are too few, val, test would be empty"),
        (["split", "data", "-o", "data/0.png"], 5, "cannot be written"),
        (["convert", "data", "-o", "new"], 3, "1 patients have studies in more than one split"),
        (["convert", "gone.jsonl", "-o", "new"], 3, "1 of 1 images are missing: "),
        (["clean", "one.jsonl", "-o", "new", "--marks", "burn"], 2, "burn"),
    ],
)
def test_wrong_calls_end_in_one_sentence(
    corpus_command: Command,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(data.parent)
    Path("empty.jsonl").touch()
    Path("one.jsonl").write_text('{"id": "1", "findings": "x"}\n')
    Path("gone.jsonl").write_text('{"id": "1", "findings": "x", "images": ["gone.png"]}\n')
    found, _, err = corpus_command(*arguments)
    assert found == code
    assert message in " ".join(err.split())
    assert not Path("new").exists()


def test_a_corpus_without_its_images_can_be_converted(corpus_command: Command, data: Path, tmp_path: Path) -> None:
    (data / "manifest.jsonl").write_text('{"id": "1", "findings": "x", "images": ["gone.png"]}\n')
    assert corpus_command("convert", data, "-o", tmp_path / "new", "--no-images")[0] == 0
    assert read_corpus(tmp_path / "new", require_images=None)[0]["images"] == [str(data / "gone.png")]


def test_a_corpus_without_recognized_columns_fails_loudly(corpus_command: Command, tmp_path: Path) -> None:
    write_png(tmp_path / "data" / "a.png", noise_image(1))
    (tmp_path / "data" / "list.csv").write_text("Bild;Befund;Fall\na.png;The lungs are clear.;7\n")
    for command in (("check",), ("check", "--strict"), ("convert", "-o", tmp_path / "new")):
        code, out, err = corpus_command(command[0], tmp_path / "data", *command[1:])
        assert (code, out) == (3, "")
        assert err.startswith(
            f"report-gen: {tmp_path / 'data' / 'list.csv'}: no column is recognized as an image, a report or a "
            "finding; its columns are 'Bild', 'Befund', 'Fall'; name them with --columns FIELD=COLUMN, such as "
            "image=NAME,report=NAME (fields: image, report, findings, impression, patient, "
        )
    mapping = ("--columns", "image=Bild,report=Befund", "--columns", "patient=Fall")
    code, out, _ = corpus_command("check", tmp_path / "data", *mapping, "--strict")
    assert code == 0
    assert "no study has" not in " ".join(out.split())


def test_missing_images_are_left_out_on_request(corpus_command: Command, data: Path, tmp_path: Path) -> None:
    (data / "3.png").unlink()
    corpus_command("split", data, "-o", tmp_path / "split", "--no-images")
    assert corpus_command("convert", tmp_path / "split", "-o", tmp_path / "new")[0] == 3
    code, _, err = corpus_command("convert", tmp_path / "split", "-o", tmp_path / "new", "--skip-missing")
    assert code == 0
    assert "left out 1 missing images, and 1 studies" in err
    assert len(read_corpus(tmp_path / "new")) == 19


def test_a_split_without_patients_says_so(corpus_command: Command, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    write_manifest(data, [{key: value for key, value in row.items() if key != "patient_id"} for row in rows])
    code, _, err = corpus_command("split", data, "-o", tmp_path / "split")
    assert code == 0
    assert "the patients of 20 studies are unknown" in err
    assert json.loads((tmp_path / "split" / "split.json").read_text())["studies_without_patient"] == 20


@pytest.mark.parametrize("command", ["convert", "split", "clean"])
def test_a_corpus_of_which_no_image_exists_is_refused(
    corpus_command: Command, data: Path, tmp_path: Path, command: str
) -> None:
    for image in data.glob("*.png"):
        image.unlink()
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    write_manifest(data, [{**row, "split": "train"} for row in rows])
    code, _, err = corpus_command(command, data, "-o", tmp_path / "new", "--skip-missing")
    assert code == 3
    assert "all 20 images are missing, so no study is left; add the files, or correct their names" in err
    assert not (tmp_path / "new").exists()


def test_a_strict_check_names_the_serious_problems(corpus_command: Command, data: Path) -> None:
    code, _, err = corpus_command("check", data, "--strict", "--quiet")
    assert code == 6
    assert "fails --strict: patient leakage: 1 patients have studies in more than one split" in err


def test_a_split_of_few_studies_without_patients_says_so(corpus_command: Command, tmp_path: Path) -> None:
    write_manifest(tmp_path / "data", [{"id": str(number), "findings": "Clear."} for number in range(3)])
    code, _, err = corpus_command("split", tmp_path / "data", "-o", tmp_path / "new")
    assert code == 3
    assert "3 studies have no patient id, so each counts as a patient" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("command", ["convert", "split", "clean"])
def test_a_command_that_is_stopped_leaves_no_reports(
    corpus_command: Command,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    number: signal.Signals,
) -> None:
    """The signal arrives when the manifest is written but has not got its name."""
    fixed, output = tmp_path / "fixed", tmp_path / "output"
    assert corpus_command("split", data, "-o", fixed)[0] == 0
    monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), number))
    signal.signal(number, signal.SIG_DFL)  # `nohup` lets the tests inherit an ignored SIGHUP
    code, out, err = corpus_command(command, fixed, "-o", output)
    assert (code, out) == (128 + number, "")
    assert err.splitlines()[-1].endswith("; every file that was written is complete")
    assert list(output.rglob("*")) == []


def test_what_a_killed_command_left_is_removed_by_the_next_one(
    corpus_command: Command, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    (output / "images").mkdir(parents=True)
    for left in (output / ".0123456789abcdef.tmp", output / "images" / ".fedcba9876543210.tmp"):
        left.write_text("FINDINGS: a report")
    (output / ".notes.tmp").touch()  # not a name that the program gives
    assert corpus_command("split", data, "-o", output)[0] == 0
    assert sorted(path.name for path in output.rglob("*")) == [".notes.tmp", "images", "manifest.jsonl", "split.json"]
