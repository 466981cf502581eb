"""`report-gen draft --prior`: the prior study by path or found in the folder, its report, and wrong options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from report_gen.errors import StudyError, UsageError
from tests.builders import FINDINGS, THRESHOLDS, noise_image, tiny_config, tiny_model, write_checkpoint, write_png
from tests.cli.conftest import Command
from tests.dicom_files import write_dicom


@pytest.fixture(scope="module")
def comparing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that states every change that is more probable than 0.01."""
    zeros = [0.0] * len(FINDINGS)
    changes = {"trained": [name != "No Finding" for name in FINDINGS], "bias": zeros, "persistence": zeros}
    config = tiny_config(findings={"present": THRESHOLDS}, changes=changes | {"threshold": 0.01})
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "comparing", model=tiny_model(config))


@pytest.fixture
def draft(report_gen: Command, comparing: Path) -> Command:
    return lambda *arguments: report_gen("draft", "--checkpoint", comparing, "--candidates", 1, *arguments)


def chest(folder: Path, day: int, **attributes: Any) -> Path:
    """Write a radiograph of a day in January 2024."""
    values = {"StudyDate": f"202401{day:02}", "StudyInstanceUID": f"1.{day}", "SOPInstanceUID": f"1.{day}.1"}
    values |= {"BodyPartExamined": "CHEST", "PatientID": "SECRET1"}
    return write_dicom(folder / f"{day}.dcm", noise_image(day).astype(np.uint16), **values | attributes)


def sections(text: str) -> dict[str, str]:
    return {section["name"]: section["text"] for section in json.loads(text)["sections"]}


def test_a_prior_by_its_path(draft: Command, tmp_path: Path) -> None:
    now, then = chest(tmp_path, 13), chest(tmp_path, 1)
    answer = draft(now, "--prior", then, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    assert sections(answer.out)["COMPARISON"] == "Chest radiograph, 12 days earlier."
    assert json.loads(answer.out)["provenance"]["comparison"]["days_earlier"] == 12
    assert not any(word in answer.out for word in ("SECRET", "20240101", "20240113"))
    text = draft(now, "--prior", then, "--prior-days", 5).out
    assert "NOTICE: the headers state that the prior study is 12 days earlier; the draft uses the 5 days that" in text
    text = draft(now, "--prior", then, "--prior", chest(tmp_path, 9)).out
    assert "COMPARISON:\nChest radiograph, 4 days earlier.\n" in text


def test_priors_that_are_found_in_the_folder(draft: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for day in (1, 9, 13):
        chest(folder, day)
    chest(folder, 14, PatientID="SECRET2")
    answer = draft(folder, "--prior", "auto", "-o", out, "--format", "json", "-v")
    assert answer.code == 0
    assert "studies with a prior study: 2 of 4" in answer.err
    assert f"{folder / '13.dcm'}: compared with the prior study {folder / '9.dcm'}" in answer.err
    assert "without a" not in answer.err
    found = {file.stem: sections(file.read_text()).get("COMPARISON") for file in out.glob("*.json")}
    assert found == {
        "1.1": None,
        "1.9": "Chest radiograph, 8 days earlier.",
        "1.13": "Chest radiograph, 4 days earlier.",
        "1.14": None,
    }


def test_studies_of_one_date_are_named_and_drafted_without_a_prior(draft: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    chest(folder, 13)
    chest(folder, 14, StudyDate="20240113")
    answer = draft(folder, "--prior", "auto", "-o", out, "--format", "json")
    assert answer.code == 0
    assert "studies with a prior study: 0 of 2" in answer.err
    assert "because the headers do not state which is earlier: 1 pair, the first: " in answer.err
    assert "draft the later one with --prior and --prior-days" in answer.err
    assert len(list(out.glob("*.json"))) == 2


def test_studies_without_headers_are_counted_with_a_remedy(draft: Command, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        write_png(folder / f"patient{number}_chest.png", noise_image(number))
    chest(folder, 13, StudyDate="")
    answer = draft(folder, "--prior", "auto", "-o", tmp_path / "out", "--format", "json")
    assert "studies with a prior study: 0 of 3" in answer.err
    for what, number, name in (("Patient ID", 2, "patient0_chest.png"), ("Study Date", 1, "13.dcm")):
        assert (
            f"studies without a {what} in their headers, for which --prior auto finds no prior study: {number}, "
            f"such as {folder / name}; draft each with --prior FILE and --prior-days N"
        ) in answer.err


@pytest.mark.parametrize("content", ["FINDINGS: Pulmonary edema.", "MSH"])
def test_the_report_of_the_prior(draft: Command, tmp_path: Path, content: str) -> None:
    report = tmp_path / "prior.txt"
    report.write_text(content)
    arguments = (chest(tmp_path, 13), "--prior", chest(tmp_path, 1), "--prior-report", report, "--format", "json")
    answer = draft(*arguments, "--finding", "Edema=present")
    if content == "MSH":
        assert answer.code == StudyError.exit_code
        assert "not a report, or damaged" in answer.err
        return
    comparison = json.loads(answer.out)["provenance"]["comparison"]
    assert comparison["with_report"] is True
    assert comparison["changes"]["Edema"] == "unchanged"


def test_technique_and_comparison_in_words(draft: Command, tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", noise_image())
    answer = draft(path, "--technique", "Portable.", "--comparison", "Radiograph of May.")
    assert "COMPARISON:\nRadiograph of May.\n" in answer.out


@pytest.fixture
def bad_priors(tmp_path: Path) -> dict[str, Path]:
    """Files by name: priors and reports that cannot be compared, beside `now` and `then`, which can."""
    chests = {"now": {"day": 13}, "then": {"day": 1}, "other": {"day": 2, "PatientID": "SECRET2"}, "later": {"day": 14}}
    chests |= {"ct": {"day": 3, "Modality": "CT"}, "hand": {"day": 4, "BodyPartExamined": "HAND"}}
    chests |= {"undated": {"day": 5, "StudyDate": ""}}
    files = {name: chest(tmp_path, **values) for name, values in chests.items()}
    other = tmp_path / "report.hl7"
    other.write_text(
        "MSH|^~\\&|RIS||||20260101||ORU^R01|1|P|2.5.1\rPID|||SECRET2^^^H~SECRET3\rOBR|1|||C\r"
        "OBX|1|TX|X&GDT||No effusion.||||||F\r"
    )
    for name, content in (("empty", b""), ("text", b"No effusion.")):
        files[name] = tmp_path / f"{name}.dcm"
        files[name].write_bytes(content)
    files["folder"] = tmp_path / "folder"
    files["folder"].mkdir()
    return files | {"report": other}


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--prior", "auto", "--prior", "{then}"], UsageError.exit_code, "leave the other --prior out"),
        (["--prior-report", "{then}"], UsageError.exit_code, "name the study with one --prior PATH"),
        (["--prior", "auto", "--prior-report", "{then}"], UsageError.exit_code, "name the study with one --prior PATH"),
        (["{then}", "--prior", "{then}"], UsageError.exit_code, "but there are 2; use --prior auto"),
        (["--prior-days", "3"], UsageError.exit_code, "--prior-days is about one prior study"),
        (["--prior", "{then}", "--prior", "{now}", "--prior-days", "3"], UsageError.exit_code, "--prior-days is about"),
        (["--prior", "{then}", "--prior-days", "-1"], UsageError.exit_code, "--prior-days '-1': write how many days"),
        (["--prior", "{other}"], StudyError.exit_code, "it shows another patient (different Patient ID); give another"),
        (["--prior", "{now}"], StudyError.exit_code, "it is the same study; give an earlier one"),
        (["--prior", "{later}"], StudyError.exit_code, "it is 1 day later; give an earlier one"),
        (["--prior", "{ct}"], StudyError.exit_code, "its modality differs; give one of the same kind"),
        (["--prior", "{hand}"], StudyError.exit_code, "its header names hand, and that of the study chest; give one"),
        (
            ["--prior", "{undated}"],
            StudyError.exit_code,
            "5.dcm); give the days with --prior-days",
        ),
        (["--prior", "nowhere.dcm"], StudyError.exit_code, "does not exist"),
        (["--prior", "{empty}"], StudyError.exit_code, "empty.dcm: "),
        (["--prior", "{text}"], StudyError.exit_code, "text.dcm: "),
        (["--prior", "{folder}"], StudyError.exit_code, "folder: "),
        (["--prior", "{then}", "--prior-report", "nowhere.txt"], StudyError.exit_code, "there is no such file"),
        (["--prior", "{then}", "--prior-report", "{then}"], StudyError.exit_code, "not a DICOM SR with text"),
        (["--prior", "{then}", "--prior-report", "{report}"], StudyError.exit_code, "is the report of another patient"),
    ],
)
def test_wrong_priors_are_refused(
    draft: Command, bad_priors: dict[str, Path], options: list[str], exit_code: int, message: str
) -> None:
    answer = draft(bad_priors["now"], *(option.format(**bad_priors) for option in options))
    assert answer.code == exit_code
    assert message in answer.err
    assert "SECRET" not in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    ("value", "is_accepted"), [("-4", False), ("4.5", False), ("", False), ("100000", False), ("0", True), ("4", True)]
)
def test_the_number_of_days(draft: Command, tmp_path: Path, value: str, is_accepted: bool) -> None:
    now, then = (write_png(tmp_path / f"{number}.png", noise_image(number)) for number in (1, 2))
    answer = draft(now, "--prior", then, "--prior-days", value)
    assert (answer.code == 0) is is_accepted
    if not is_accepted and value:
        expected = "write how many days the prior study is earlier, as a whole number from 0 to 99999, or unknown"
        assert answer.err == f"report-gen: --prior-days {value!r}: {expected}\n"


def test_one_wrong_prior_of_several_refuses_the_study_and_says_how_to_go_on(
    draft: Command, bad_priors: dict[str, Path]
) -> None:
    """A draft without the prior study that the user named would be compared with another one."""
    answer = draft(bad_priors["now"], "--prior", bad_priors["then"], "--prior", bad_priors["later"])
    assert (answer.code, answer.out) == (StudyError.exit_code, "")
    assert answer.err == (
        f"report-gen: {bad_priors['now']}: cannot be compared with the prior study {bad_priors['later']}: it is 1 day "
        "later; give an earlier one, or leave it out to compare with the others; wrong prior "
        "studies: 1 of 2\n"
    )
    assert draft(bad_priors["now"], "--prior", bad_priors["then"]).code == 0


def test_a_draft_with_another_prior_is_drafted_again(draft: Command, tmp_path: Path) -> None:
    now, first, second, out = chest(tmp_path, 13), chest(tmp_path, 1), chest(tmp_path, 2), tmp_path / "out"
    for prior, before in ((first, 0), (first, 1), (second, 0), (second, 1)):
        answer = draft(now, "--prior", prior, "-o", out, "--resume")
        assert answer.code == 0
        assert f"{before} of 1 studies were drafted before" in answer.err
    report = tmp_path / "prior.txt"
    for text, before in (("Clear lungs.", 0), ("Clear lungs.", 1), ("Edema.", 0)):
        report.write_text(text)
        answer = draft(now, "--prior", second, "--prior-report", report, "-o", out, "--resume")
        assert f"{before} of 1 studies were drafted before" in answer.err


def test_pictures_need_the_number_of_days(draft: Command, tmp_path: Path) -> None:
    now, then = (write_png(tmp_path / f"{number}.png", noise_image(number)) for number in (1, 2))
    answer = draft(now, "--prior", then)
    assert (answer.code, answer.out) == (StudyError.exit_code, "")
    out = tmp_path / "out"
    for view, days, before in (("PA", 3, 0), ("PA", 3, 1), ("AP", 3, 0), ("AP", 4, 0)):
        answer = draft(now, "--prior", then, "--prior-days", days, "--view", view, "-o", out, "--resume")
        assert f"{before} of 1 studies were drafted before" in answer.err
    assert "COMPARISON:\nStudy, 4 days earlier.\n" in (out / "1.txt").read_text()
    assert "COMPARISON:\nEarlier study.\n" in draft(now, "--prior", then, "--prior-days", "unknown").out


def test_a_prior_in_an_archive(draft: Command, tmp_path: Path) -> None:
    now, archive = chest(tmp_path, 13), tmp_path / "then.zip"
    with ZipFile(archive, "w") as file:
        file.write(chest(tmp_path, 1), "1.dcm")
    assert "COMPARISON:\nChest radiograph, 12 days earlier.\n" in draft(now, "--prior", archive).out


def test_an_earlier_study_that_arrives_later_changes_only_the_drafts_that_it_precedes(
    draft: Command, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for day in (1, 13):
        chest(folder, day)
    draft(folder, "--prior", "auto", "-o", out, "--resume")
    chest(folder, 9)
    answer = draft(folder, "--prior", "auto", "-o", out, "--resume")
    assert "1 of 3 studies were drafted before" in answer.err
