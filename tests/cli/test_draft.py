"""`report-gen draft`: drafts alone on standard output, one sentence per error, one file per study."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from report_gen.cli.options import parse_overrides
from report_gen.drafting import Drafter, DraftRequest
from report_gen.errors import StudyError, UsageError
from report_gen.outputs.journal import JOURNAL
from report_gen.records import (
    BANNER,
    UNKNOWN_LOCATION,
    FindingLocation,
    FindingState,
    Side,
    ViewPosition,
    Zone,
)
from tests.builders import noise_image, tiny_config, tiny_model, write_checkpoint, write_png
from tests.cli.conftest import Answer, Command
from tests.dicom_files import write_dicom


def png(folder: Path, name: str = "chest", seed: int = 0) -> Path:
    return write_png(folder / f"{name}.png", noise_image(seed))


def names_in(folder: Path) -> list[str]:
    """The names of the drafts in a folder. The journal of the drafts is hidden."""
    return sorted(path.name for path in folder.iterdir() if path.name != JOURNAL)


def test_a_draft_goes_to_standard_output_and_nothing_else_does(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path))
    assert answer.code == 0
    assert answer.out.startswith(f"{BANNER}\n\n")
    assert answer.out.count(BANNER) == 1
    assert answer.err == ""


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ([], StudyError.exit_code, "chest_xray (CR, DX, RG; chest; PA, AP, FRONTAL; at least 16 years), ct_mr_slices"),
        (["--finding", "Pneumona=present"], UsageError.exit_code, "finding 'Pneumona' is not known; choose from "),
        (
            ["--attribute", "plane=axial", "--checkpoint", "chest_xray"],
            UsageError.exit_code,
            "attribute 'plane' is not known",
        ),
    ],
)
def test_what_the_configuration_refuses_is_refused_without_loading_the_model(
    tmp_path: Path, options: list[str], exit_code: int, message: str
) -> None:
    """No embedded model was made for hands; torch alone takes seconds to load."""
    hand = write_dicom(tmp_path / "hand.dcm", noise_image().astype(np.uint16), Modality="DX", BodyPartExamined="HAND")
    code = (
        "import sys; from report_gen.cli import main\n"
        f"sys.argv = ['report-gen', 'draft', {str(hand)!r}, *{options!r}]\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (exit_code, "False\n")
    assert message in run.stderr


def test_several_drafts_are_distinguished_by_name(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path, "one", 1), png(tmp_path, "two", 2))
    assert answer.code == 0
    assert [line for line in answer.out.splitlines() if line.startswith("===")] == ["=== one ===", "=== two ==="]
    assert "drafting" in answer.err


def test_json(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path), "--format", "json", "--finding", "pleural effusion=present".title(), "--seed", 9)
    document = json.loads(answer.out)
    assert document["banner"] == BANNER
    (effusion,) = (finding for finding in document["findings"] if finding["name"] == "Pleural Effusion")
    assert (effusion["state"], effusion["overridden"]) == ("present", True)
    assert document["provenance"]["model_name"] == "tiny"


def test_attributes_are_set_in_dicom_terms_too(report_gen: Command, tmp_path: Path) -> None:
    known = [{"name": "modality", "values": ["CT", "MR"]}, {"name": "plane", "values": ["axial", "coronal"]}]
    model = tiny_model(tiny_config(attributes=known))
    checkpoint, settings = write_checkpoint(tmp_path / "tiny", model=model), ("plane=Transverse", "modality=unknown")
    options = [option for setting in settings for option in ("--attribute", setting)]
    answer = report_gen("draft", png(tmp_path), "--checkpoint", checkpoint, "--format", "json", *options)
    values = [(one["name"], one["value"], one["overridden"]) for one in json.loads(answer.out)["attributes"]]
    assert values == [("modality", "", True), ("plane", "axial", True)]


def test_the_attention_of_one_study_is_drawn(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path), "--attention", tmp_path / "new" / "attention.png")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(BANNER)
    assert (tmp_path / "new" / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_the_preprocessing_of_one_study_is_drawn(report_gen: Command, tmp_path: Path) -> None:
    """Two images of a study, each with its image, two steps and the model input."""
    steps = [{"name": "median"}, {"name": "clahe", "tiles": 2}]
    checkpoint = write_checkpoint(tmp_path / "tiny", model=tiny_model(tiny_config(preprocessing=steps)))
    drawing = tmp_path / "new" / "steps.png"
    for number in (1, 2):
        image = noise_image(number).astype(np.uint16)
        write_dicom(tmp_path / "study" / f"{number}.dcm", image, SOPInstanceUID=f"1.2.{number}")
    arguments = ("draft", tmp_path / "study", "--checkpoint", checkpoint, "--format", "json")
    answer = report_gen(*arguments, "--show-preprocessing", drawing)
    assert (answer.code, answer.err) == (0, "")
    with PIL.Image.open(drawing) as figure:
        width, height = figure.size
    assert width / height == pytest.approx(2, rel=0.4)
    clahe = {"name": "clahe", "tiles": 2, "limit": 2.5, "bins": 1024}
    assert json.loads(answer.out)["provenance"]["preprocessing"] == [{"name": "median", "size": 3}, clahe]


def test_a_drawing_of_preprocessing_needs_no_steps_and_leaves_the_draft_as_it_is(
    draft: Command, tmp_path: Path
) -> None:
    drawn = draft(png(tmp_path), "--show-preprocessing", tmp_path / "steps.png")
    assert (drawn.code, drawn.err) == (0, "")
    assert drawn.out == draft(png(tmp_path)).out
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--attention", "--show-preprocessing"])
@pytest.mark.parametrize(
    ("studies", "name", "fault"),
    [
        (2, "attention.png", " draws one study, and there are 2; draft them one by one"),
        (1, "attention.jpg", "give a name that ends in .png"),
    ],
)
def test_a_drawing_that_cannot_be_made(
    draft: Command, tmp_path: Path, option: str, studies: int, name: str, fault: str
) -> None:
    answer = draft(*(png(tmp_path, str(seed), seed) for seed in range(studies)), option, tmp_path / name)
    assert (answer.code, answer.out) == (2, "")
    assert fault in answer.err
    assert option in answer.err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", ["txt", "json"])
def test_files_take_the_name_of_their_study(draft: Command, tmp_path: Path, kind: str) -> None:
    dicom = write_dicom(tmp_path / "in" / "a.dcm", np.arange(1024, dtype=np.uint16).reshape(32, 32))
    folder = tmp_path / "out" / "new"
    answer = draft(png(tmp_path, "chest"), dicom.parent, "-o", folder, "--format", kind)
    assert (answer.code, answer.out) == (0, "")
    assert names_in(folder) == [f"1.2.826.0.1.3680043.8.498.1.{kind}", f"chest.{kind}"]
    assert BANNER in (folder / f"chest.{kind}").read_text()


def test_images_that_are_one_study_have_the_name_of_their_folder(draft: Command, tmp_path: Path) -> None:
    for seed, view in enumerate(("pa", "lateral")):
        png(tmp_path / "archive" / "case 7", view, seed)
    assert draft(tmp_path / "archive", "-o", tmp_path / "out").code == 0
    assert names_in(tmp_path / "out") == ["case 7.txt"]


def test_studies_of_one_name_do_not_overwrite_each_other(draft: Command, tmp_path: Path) -> None:
    images = [
        png(tmp_path / name, chest, seed)
        for seed, (name, chest) in enumerate([("a", "chest"), ("b", "chest"), ("c", "SCAN"), ("d", "chest-2")])
    ]
    assert draft(*images, "-o", tmp_path / "out").code == 0
    names = names_in(tmp_path / "out")
    assert len({name.lower() for name in names}) == 4
    assert names[-1] == "chest.txt"


def test_no_study_name_leaves_the_folder(draft: Command, tmp_path: Path) -> None:
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        write_dicom(tmp_path / "in" / "a.dcm", pixels, StudyInstanceUID="../../escaped")
    draft(tmp_path / "in", "-o", tmp_path / "x" / "out")
    assert not list(tmp_path.glob("escaped*"))
    assert all(path.parent == tmp_path / "x" / "out" for path in tmp_path.rglob("*.txt"))


@pytest.mark.parametrize("kept", [0, 60, 600])  # nothing, the header, and half of the pixels
def test_one_broken_study_is_refused_and_the_others_are_drafted(draft: Command, tmp_path: Path, kept: int) -> None:
    images = [png(tmp_path, f"chest-{seed}", seed) for seed in range(3)]
    images[1].write_bytes(images[1].read_bytes()[:kept])
    answer = draft(*images, "-o", tmp_path / "out")
    assert answer.code == 3
    assert names_in(tmp_path / "out") == ["chest-0.txt", "chest-2.txt"]
    error, summary = answer.err.splitlines()[-2:]
    assert error.startswith(f"report-gen: {images[1]}: ")
    assert summary == f"report-gen: notice: drafts written to {tmp_path / 'out'}: 2; studies refused: 1"


def test_nothing_was_written(draft: Command, tmp_path: Path) -> None:
    """A file that is refused when it is read makes no folder, and one that is refused later leaves no journal."""
    out, image = tmp_path / "out", png(tmp_path, "chest", 0)
    answer = draft(tmp_path / "absent.png", "-o", out)
    assert answer.err.endswith(f"report-gen: notice: nothing was written to {out}; studies refused: 1\n")
    assert not out.exists()
    (out / "chest.txt").mkdir(parents=True)
    answer = draft(image, "-o", out)
    assert (answer.code, [path.name for path in out.iterdir()]) == (3, ["chest.txt"])
    assert answer.err.endswith(f"report-gen: notice: nothing was written to {out}; studies refused: 1\n")


@pytest.mark.parametrize(
    ("name", "content"), [("absent.dcm", None), ("zero.dcm", b""), ("text.dcm", b"Dear colleague,\n" * 20)]
)
def test_a_file_that_is_not_an_image_gives_one_sentence(
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
        (["--device", "gpu"], "--device 'gpu': choose auto, cpu, cuda, cuda:N (N counts from 0) or mps"),
        (["--device", "cuda:"], "--device 'cuda:': choose"),
        (["--device", "cuda:99"], "device 'cuda:99' is not available on this machine"),
        (["--dtype", "float16"], "float16"),
        (["--view", "side"], "side"),
        (["--finding", "Edema"], "NAME=STATE:LOCATION with a state of present, absent, uncertain, unknown"),
        (["--finding", "Edema=maybe"], "write NAME=STATE"),
        (["--finding", "Edema=present", "--finding", "Edema=absent"], "already has another state; give one state"),
        (["--finding", "Edema=absent:left"], "a finding that is absent has no location; give NAME=absent"),
        (["--finding", "Edema=present:"], "write NAME=STATE:LOCATION with one side of right, left, both, unknown"),
        (["--finding", "Edema=present:left right"], "write NAME=STATE:LOCATION with one side of"),
        (["--finding", "Edema=present:left basal"], "any zones of upper, mid, lower, such as left lower"),
        (["--finding", "Edema=present:left", "--finding", "Edema=present:both"], "already has another location"),
        (["--finding", "Oedema=present"], "'Oedema' is not known; choose from No Finding"),
        (["--attribute", "plane"], "write NAME=VALUE with a name of modality, plane, body_part"),
        (["--attribute", "plane="], "write NAME=VALUE with a name of modality, plane, body_part"),
        (["--attribute", "side=left"], "write NAME=VALUE with a name of modality, plane, body_part"),
        (["--attribute", "plane=axial"], "'plane' is not known: the model was trained without attributes"),
    ],
)
def test_a_call_that_cannot_be_understood(draft: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    answer = draft(png(tmp_path), *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


@pytest.mark.parametrize("command", ["draft", "demo", "evaluate"])
def test_a_device_that_the_computer_lacks_is_refused_before_anything_is_read(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    arguments = {"draft": ["absent.png"], "demo": [], "evaluate": ["absent", "missing"]}[command]
    if command != "evaluate":
        arguments += ["-o", str(tmp_path / "out")]
    answer = report_gen(command, *arguments, "--device", "cuda")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("report-gen: device 'cuda' is not available on this machine; choose auto, ")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checkpoint(report_gen: Command, tmp_path: Path) -> None:
    answer = report_gen("draft", png(tmp_path), "--checkpoint", tmp_path / "absent")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith(f"report-gen: {tmp_path / 'absent'}: no such checkpoint folder")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "arguments",
    [
        ("draft", "absent.png", "-o", "/proc/x"),
        ("draft", "absent.png", "--attention", "/proc/x/a.png"),
        ("series", "absent", "-o", "/proc/x/a.png"),
        ("score", "absent", "absent", "--json", "/proc/x/a.json"),
        ("evaluate", "absent", "absent", "--html", "/proc/x/a.html"),
        ("corpus", "check", "absent", "--json", "/proc/x/a.json"),
        ("corpus", "convert", "absent", "-o", "/proc/x"),
    ],
)
def test_where_nothing_can_be_written_is_said_before_anything_is_read(
    report_gen: Command, arguments: tuple[str, ...]
) -> None:
    answer = report_gen(*arguments)
    assert answer == Answer(
        5,
        "",
        "report-gen: /proc/x: cannot be written, because the system does not allow a new file there; "
        "choose another path\n",
    )


def test_the_empty_files_of_an_archive_are_counted(draft: Command, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(300):
            archive.writestr(f"IM{number:03d}.dcm", b"")
    answer = draft(tmp_path / "many.zip", "-o", tmp_path / "out")
    assert answer.code == 3
    *first, last, summary = answer.err.splitlines()
    fault = f"report-gen: {tmp_path / 'many.zip'}/IM%03d.dcm: the file is empty; copy or export it again"
    assert first == [fault % number for number in range(10)]
    assert last == "report-gen: 290 more errors like this one (-v prints all): " + (fault % 0).partition(": ")[2]
    assert summary.endswith("studies refused: 300")


def test_an_output_folder_that_is_a_file(draft: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    answer = draft(png(tmp_path), "-o", tmp_path / "out")
    assert answer.code == 5
    assert "out: cannot be written" in answer.err
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
    assert answer == Answer(130, "", "report-gen: interrupted; every file that was written is complete\n")


def test_the_same_seed_writes_the_same_bytes(draft: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    arguments = (png(tmp_path), "--format", "json", "--method", "sample", "--seed", 4)
    first = draft(*arguments)
    assert draft(*arguments) == first
    assert draft(*arguments[:-1], 5) != first


@pytest.mark.parametrize(
    ("options", "stated"), [((), False), (("--view", "lateral"), True), (("--view", "LATERAL"), True)]
)
def test_the_view_of_an_image_without_a_header_can_be_set(
    draft: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], stated: bool
) -> None:
    views = []

    def draft_all(self: Drafter, requests: list[DraftRequest], **_: object) -> Iterator[StudyError]:
        views.extend(image.view_position for request in requests for image in request.study.images)
        return iter([StudyError(requests[0].study.images[0].path, "not drafted")])

    monkeypatch.setattr(Drafter, "draft_all", draft_all)
    draft(png(tmp_path), *options)
    assert views == [ViewPosition.LATERAL if stated else ViewPosition.UNKNOWN]


def test_quiet_hides_progress_but_not_errors(draft: Command, tmp_path: Path) -> None:
    answer = draft(png(tmp_path, "one", 1), png(tmp_path, "two", 2), tmp_path / "absent", "--quiet")
    assert answer.code == 3
    assert answer.err.startswith(f"report-gen: {tmp_path / 'absent'}: does not exist; check the path")
    assert answer.err.count("\n") == 1


def test_verbose_messages_contain_no_patient_data(draft: Command, tmp_path: Path) -> None:
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    path = write_dicom(tmp_path / "DOE^JANE" / "a.dcm", pixels, PatientName="DOE^JANE", PatientID="MRN-1234")
    answer = draft(path.parent, "-vv")
    assert "INFO report_gen.cli.draft_input: studies read: 1, refused: 0\n" in answer.err
    assert "DOE" not in answer.err
    assert "MRN-1234" not in answer.err
    assert answer.out.startswith(BANNER)


def test_no_model_is_loaded_where_no_study_can_be_read(report_gen: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = report_gen("draft", tmp_path / "absent.dcm", "--checkpoint", tmp_path / "empty")
    assert answer.code == 3
    assert "absent.dcm" in answer.err


@pytest.mark.parametrize(("utf8", "kind"), [("0", "json"), ("1", "txt")])
def test_any_name_is_drafted_in_any_locale(checkpoint: Path, tmp_path: Path, utf8: str, kind: str) -> None:
    names = [
        b"latin1_\xe9.png",
        b"esc_\x1b[31m.png",
        b"new\nline.png",
        "放射.png".encode(),
        b"L" * 251 + b".png",
        b"z.png",
    ]
    for number, name in enumerate(names):
        png(tmp_path, "image", number).rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    (tmp_path / "broken\x1b[31m.png").write_bytes(b"")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    program = "from report_gen.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "draft",
        "--checkpoint",
        checkpoint,
        "--candidates",
        "1",
        "--format",
        kind,
    ]
    inputs = [tmp_path / os.fsdecode(name) for name in (*names, b"broken\x1b[31m.png")]
    printed = subprocess.run([*command, *inputs], env=environment, capture_output=True, check=False)
    assert printed.returncode == 3
    assert printed.stdout.decode().count(BANNER) == len(names)
    assert rb"broken\u001b[31m.png" in printed.stderr
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", printed.stdout + printed.stderr)
    written = subprocess.run([*command, *inputs, "-o", tmp_path / "out"], env=environment, check=False)
    assert written.returncode == 3
    found = sorted(map(os.fsencode, names_in(tmp_path / "out")))
    expected = [b"esc__[31m", b"latin1_\xe9", b"new_line", b"z", "放射".encode()]
    assert [name for name in found if not name.startswith(b"L")] == [name + b"." + kind.encode() for name in expected]
    assert [len(name) for name in found if name.startswith(b"L")] == [255]


def test_pictures_of_a_folder_are_joined_on_request(draft: Command, tmp_path: Path) -> None:
    for number in (1, 2):
        png(tmp_path / "in", f"patient{number}", number)
    answer = draft(tmp_path / "in")
    assert (answer.code, answer.out.count(BANNER)) == (0, 2)
    assert "report-gen: notice: " in answer.err
    assert "2 images is read as a separate study" in answer.err
    assert "patients; --as-study joins them\n" in answer.err
    answer = draft(tmp_path / "in", "--as-study")
    assert (answer.code, answer.out.count(BANNER), answer.err) == (0, 1, "")


def test_the_memory_limit_refuses_a_large_image_and_drafts_the_others(draft: Command, tmp_path: Path) -> None:
    write_png(tmp_path / "studies" / "small" / "a.png", noise_image(1))
    write_png(tmp_path / "studies" / "large" / "b.png", np.tile(noise_image(2), (40, 40)))
    large = noise_image(2).shape[0] * 40
    answer = draft(tmp_path / "studies", "--limit-memory", "8MB", "--as-study")
    assert answer.code == StudyError.exit_code
    assert answer.out.count(BANNER) == 1
    assert f"not enough memory: {large} x {large} pixels need " in answer.err
    assert "and one image may take 8.0 MB; free memory or raise --limit-memory" in answer.err


@pytest.mark.parametrize("size", ["0", "-1", "many", "2 XB"])
def test_a_memory_limit_that_is_no_size_is_a_usage_error(draft: Command, tmp_path: Path, size: str) -> None:
    answer = draft(png(tmp_path), f"--limit-memory={size}")
    assert answer.code == 2
    assert f"--limit-memory '{size}' is not a size above 0; write a size such as 512MB or 2GB" in answer.err


@pytest.mark.parametrize(
    ("value", "location"),
    [
        ("present:left", FindingLocation(Side.LEFT)),
        ("Uncertain: Both lower upper", FindingLocation(Side.BOTH, frozenset({Zone.LOWER, Zone.UPPER}))),
        ("present:mid", FindingLocation(zones=frozenset({Zone.MID}))),
        ("present:unknown", UNKNOWN_LOCATION),
    ],
)
def test_a_finding_may_be_set_with_its_location(value: str, location: FindingLocation) -> None:
    states, locations = parse_overrides([f"Pleural Effusion = {value}", "Edema=absent"])
    assert locations == {"Pleural Effusion": location}
    assert states["Edema"] is FindingState.ABSENT
    assert states["Pleural Effusion"] is not FindingState.ABSENT
