"""The doors: exit codes, one sentence on standard error, drafts alone on standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import typer

from report_gen.cli import app as cli
from report_gen.cli.score import SCORE_FAILS
from report_gen.drafting import drafter as drafting
from report_gen.drafting.drafter import Drafter
from report_gen.records.report import BANNER
from tests.builders import picture, tiny_config, tiny_model, write_checkpoint, write_manifest, write_png
from tests.dicom_files import write_dicom


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def report_gen(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The console script in this process: `report_gen("draft", path)`."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["report-gen", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.run_app(cli.app)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Answer(int(stop.value.code or 0), out, err)

    return run


@pytest.fixture
def draft(report_gen: Command, checkpoint: Path) -> Command:
    return lambda *arguments: report_gen("draft", "--checkpoint", checkpoint, "--candidates", 1, *arguments)


def png(folder: Path, name: str = "film", seed: int = 0) -> Path:
    return write_png(folder / f"{name}.png", picture(seed))


def test_a_draft_goes_to_standard_output_and_nothing_else_does(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path))
    assert answer.code == 0
    assert answer.out.startswith(f"{BANNER}\n\n")
    assert answer.out.count(BANNER) == 1
    assert answer.err == ""


def test_several_drafts_are_told_apart_by_name(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path, "one", 1), png(tmp_path, "two", 2))
    assert answer.code == 0
    assert [line for line in answer.out.splitlines() if line.startswith("===")] == ["=== one ===", "=== two ==="]
    assert "drafting" in answer.err


def test_json(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path), "--format", "json", "--finding", "pleural effusion=present".title(), "--seed", 9)
    document = json.loads(answer.out)
    assert document["banner"] == BANNER
    (effusion,) = (finding for finding in document["findings"] if finding["name"] == "Pleural Effusion")
    assert (effusion["state"], effusion["overruled"]) == ("present", True)
    assert document["provenance"]["model_name"] == "tiny"


def test_attributes_are_set_in_dicom_terms_too(report_gen: Command, tmp_path: Path) -> None:
    known = [{"name": "modality", "values": ["CT", "MR"]}, {"name": "plane", "values": ["axial", "coronal"]}]
    model = tiny_model(tiny_config(attributes=known))
    checkpoint, settings = write_checkpoint(tmp_path / "tiny", model=model), ("plane=Transverse", "modality=unknown")
    options = [option for setting in settings for option in ("--attribute", setting)]
    answer = report_gen("draft", png(tmp_path), "--checkpoint", checkpoint, "--format", "json", *options)
    told = [(one["name"], one["value"], one["overruled"]) for one in json.loads(answer.out)["attributes"]]
    assert told == [("modality", "", True), ("plane", "axial", True)]


def test_the_attention_of_one_study_is_drawn(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path), "--attention", tmp_path / "new" / "seen.png")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(BANNER)
    assert (tmp_path / "new" / "seen.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("films", "name", "fault"),
    [
        (2, "seen.png", "--attention draws one study, and there are 2; draft them one by one"),
        (1, "seen.jpg", "give a name that ends in .png"),
    ],
)
def test_attention_that_cannot_be_drawn(draft: Command, tmp_path: Path, films: int, name: str, fault: str) -> None:
    answer = draft(*(png(tmp_path, str(seed), seed) for seed in range(films)), "--attention", tmp_path / name)
    assert (answer.code, answer.out) == (2, "")
    assert fault in answer.err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", ["txt", "json"])
def test_files_take_the_name_of_their_study(draft: Command, tmp_path: Path, kind: str) -> None:
    dicom = write_dicom(tmp_path / "in" / "a.dcm", np.arange(1024, dtype=np.uint16).reshape(32, 32))
    folder = tmp_path / "out" / "new"
    answer = draft(png(tmp_path, "film"), dicom.parent, "-o", folder, "--format", kind)
    assert (answer.code, answer.out) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == [f"1.2.826.0.1.3680043.8.498.1.{kind}", f"film.{kind}"]
    assert BANNER in (folder / f"film.{kind}").read_text()


def test_studies_of_one_name_do_not_overwrite_each_other(draft: Command, tmp_path: Path) -> None:
    films = [
        png(tmp_path / name, film, seed)
        for seed, (name, film) in enumerate([("a", "film"), ("b", "film"), ("c", "FILM"), ("d", "film-2")])
    ]
    assert draft(*films, "-o", tmp_path / "out").code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len({name.lower() for name in names}) == 4
    assert names[-1] == "film.txt"


def test_no_study_name_leaves_the_folder(draft: Command, tmp_path: Path) -> None:
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        write_dicom(tmp_path / "in" / "a.dcm", pixels, StudyInstanceUID="../../escaped")
    draft(tmp_path / "in", "-o", tmp_path / "x" / "out")
    assert not list(tmp_path.glob("escaped*"))
    assert all(path.parent == tmp_path / "x" / "out" for path in tmp_path.rglob("*.txt"))


@pytest.mark.parametrize("kept", [0, 60, 600])  # nothing, the header, and half of the pixels
def test_one_broken_study_is_refused_and_the_others_are_there(draft: Command, tmp_path: Path, kept: int) -> None:
    films = [png(tmp_path, f"film-{seed}", seed) for seed in range(3)]
    films[1].write_bytes(films[1].read_bytes()[:kept])
    answer = draft(*films, "-o", tmp_path / "out")
    assert answer.code == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["film-0.txt", "film-2.txt"]
    assert answer.err.splitlines()[-1].startswith(f"report-gen: {films[1]}: ")


@pytest.mark.parametrize(
    ("name", "content"), [("absent.dcm", None), ("zero.dcm", b""), ("text.dcm", b"Dear colleague,\n" * 20)]
)
def test_a_path_that_is_no_image_is_one_sentence(
    draft: Command, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    answer = draft(tmp_path / name)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith(f"report-gen: {tmp_path / name}: ")
    assert answer.err.count("\n") == 1


def test_an_empty_folder_is_refused(draft: Command, tmp_path: Path) -> None:
    answer = draft(tmp_path)
    assert answer.code == 3
    assert "no images found" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--format", "pdf"], "pdf"),
        (["--method", "guess"], "guess"),
        (["--candidates", "0"], "candidates"),
        (["--seed", "-1"], "seed"),
        (["--finding", "Edema"], "write NAME=STATE with a state of present, absent, uncertain, unknown"),
        (["--finding", "Edema=maybe"], "write NAME=STATE"),
        (["--finding", "Oedema=present"], "'Oedema' is not known; choose from No Finding"),
        (["--attribute", "plane"], "write NAME=VALUE with a name of modality, plane, body_part"),
        (["--attribute", "plane="], "write NAME=VALUE with a name of modality, plane, body_part"),
        (["--attribute", "side=left"], "write NAME=VALUE with a name of modality, plane, body_part"),
        (["--attribute", "plane=axial"], "'plane' is not known: the model has learned none; leave it out"),
    ],
)
def test_a_call_that_cannot_be_understood(draft: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    answer = draft(png(tmp_path), *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_a_checkpoint_that_is_not_there(report_gen: Command, tmp_path: Path) -> None:
    answer = report_gen("draft", png(tmp_path), "--checkpoint", tmp_path / "absent")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith(f"report-gen: {tmp_path / 'absent'}: no such checkpoint folder")


def test_an_output_folder_that_is_a_file(draft: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    answer = draft(png(tmp_path), "-o", tmp_path / "out")
    assert answer.code == 5
    assert "out/film.txt: cannot be written" in answer.err
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_an_output_folder_that_is_read_only(draft: Command, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    assert draft(png(tmp_path), "-o", tmp_path / "out").code == 5


def test_an_interruption(
    report_gen: Command, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Drafter, "draft_all", interrupted)
    answer = report_gen("draft", png(tmp_path), "--checkpoint", checkpoint)
    assert answer == Answer(130, "", "report-gen: interrupted; what was written is whole\n")


def test_the_same_seed_writes_the_same_bytes(draft: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    arguments = (png(tmp_path), "--format", "json", "--method", "sample", "--seed", 4)
    first = draft(*arguments)
    assert draft(*arguments) == first
    assert draft(*arguments[:-1], 5) != first


def test_the_demonstration(
    report_gen: Command, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "EMBEDDED", checkpoint)
    answer = report_gen("demo", "-o", tmp_path / "demo")
    assert answer.code == 0
    kept = {path.suffix for path in (tmp_path / "demo").iterdir()}
    assert kept == {".dcm", ".png", ".txt"}
    picture_line, study_line, draft_line, _, banner = answer.out.splitlines()[:5]
    assert all(Path(line.split(maxsplit=1)[1]).is_file() for line in (picture_line, study_line, draft_line))
    assert banner == BANNER
    assert answer.out.endswith((tmp_path / "demo" / "draft.txt").read_text() + "\n")


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR's Java takes seconds to start, and is tested elsewhere."""
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("no_java")
def test_scoring(report_gen: Command, tmp_path: Path) -> None:
    drafts, reports, table = tmp_path / "drafts.jsonl", tmp_path / "reports.jsonl", tmp_path / "scores.json"
    rows = [{"id": str(n), "report": text} for n, text in enumerate(("Clear lungs.", "Large heart.", "No effusion."))]
    for path in (drafts, reports):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = report_gen("score", drafts, reports, "--bootstrap", 0, "--json", table)
    assert answer.code == 0
    assert "BLEU-1" in answer.out
    assert json.loads(table.read_text())
    absent = report_gen("score", tmp_path / "absent.jsonl", reports)
    assert (absent.code, absent.out) == (3, "")
    assert "absent.jsonl" in absent.err


@pytest.mark.usefixtures("no_java")
def test_collapsed_drafts_end_a_strict_run_with_a_code_of_its_own(report_gen: Command, tmp_path: Path) -> None:
    texts = {"reports": [f"Opacity number {n}." for n in range(30)], "drafts": ["Clear lungs."] * 30}
    for name, lines in texts.items():
        rows = ({"id": str(n), "report": line} for n, line in enumerate(lines))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = (tmp_path / "drafts.jsonl", tmp_path / "reports.jsonl")
    assert report_gen("score", *files, "--bootstrap", 0, "--strict").code == SCORE_FAILS
    assert report_gen("score", *files, "--bootstrap", 0).code == 0


def test_evaluating(report_gen: Command, checkpoint: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        png(tmp_path / "films", f"film-{number}", number)
        rows.append({"study_id": str(number), "images": [f"film-{number}.png"], "edema": number % 2, "split": "test"})
    write_manifest(tmp_path / "films", rows)
    arguments = ("evaluate", checkpoint, tmp_path / "films", "--candidates", 1, "--bootstrap", 100)
    answer = report_gen(*arguments, "--json", tmp_path / "figures.json")
    assert answer.code == 0
    assert "4 studies" in answer.out
    assert json.loads((tmp_path / "figures.json").read_text())["studies"] == 4
    refused = report_gen(*arguments, "--split", "val")
    assert (refused.code, refused.out) == (3, "")
    assert "fewer than two studies of split 'val'" in refused.err


def test_help_and_no_arguments(report_gen: Command) -> None:
    assert "draft" in report_gen("--help").out
    assert report_gen("draft", "--help").code == 0
    assert report_gen().code in (0, 2)


def test_commands_of_other_packages_are_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = EntryPoint("echo", "tests.cli.test_draft:echo", "report_gen.commands")
    monkeypatch.setattr(cli, "entry_points", lambda *, group: [entry] if group == entry.group else [])
    monkeypatch.setattr(cli, "app", typer.Typer())
    cli.app.callback()(lambda: None)
    monkeypatch.setattr(sys, "argv", ["report-gen", "echo", "word"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code in (0, None)
    assert capsys.readouterr().out == "word\n"


def echo(word: str) -> None:
    sys.stdout.write(word + "\n")


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['report-gen', '--help']\n"
        "from report_gen.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'transformers', 'accelerate', 'datasets', 'numpy', 'pydicom'} & sys.modules.keys()\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout
