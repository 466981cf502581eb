"""The wheel: it contains every file of the packages, and drafts from a clean environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from email import message_from_string
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from report_gen.phantom import write_phantom
from report_gen.records import BANNER

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = {"report_gen": "report_gen", "training": "report_gen_training", "prompts": "report_gen/prompts"}
"""Folders of the checkout, and where the wheel puts them."""


def source_files(folder: Path) -> set[str]:
    """All files below a folder but compiled ones, relative to it."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build in the checkout would leave files there, and pick up older ones."""
    source = tmp_path_factory.mktemp("source")
    for folder in PACKAGES:
        shutil.copytree(CHECKOUT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-WEIGHTS"):
        shutil.copy(CHECKOUT / name, source)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source, cwd=source)
    (path,) = (source / "dist").glob("report_gen-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which takes the dependencies from the running environment."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--no-compile", wheel)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # Entries of a .pth file are searched last, and .pth files in them are ignored: no editable install is found.
    dependencies = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site_packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return folder


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program without this process's Python settings; return its standard output."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_", "PIP_"))}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    expected = {f"{target}/{name}" for folder, target in PACKAGES.items() for name in source_files(CHECKOUT / folder)}
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert sorted(expected ^ packed) == []


def test_the_wheel_carries_both_licenses_and_says_which_covers_what(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        licenses = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    assert licenses == {"LICENSE", "LICENSE-WEIGHTS"}
    message = metadata(wheel)
    assert message["License-Expression"] == "Apache-2.0 AND LicenseRef-report-gen-weights"
    description = " ".join(str(message.get_payload()).split())
    assert "the code is Apache-2.0. The embedded weights are for research use only" in description
    for card in (CHECKOUT / "report_gen" / "pretrained").glob("*/README.md"):
        assert "LICENSE-WEIGHTS" in card.read_text(encoding="utf-8"), card


def test_the_next_major_versions_of_timm_and_transformers_are_excluded(wheel: Path) -> None:
    requirements = {line.split(";")[0].strip() for line in metadata(wheel).get_all("Requires-Dist", [])}
    assert any(line.startswith("timm") and "<2" in line for line in requirements)
    assert any(line.startswith("transformers") and "<6" in line for line in requirements)


def test_a_clean_environment_drafts(environment: Path, tmp_path: Path) -> None:
    """With the embedded checkpoint, by greedy decoding: the other methods read no further file of the package."""
    programs = environment / "bin"
    where = "import report_gen, report_gen_training as t; print(report_gen.__file__); print(t.__file__)"
    files = run(programs / "python", "-c", where, cwd=tmp_path).splitlines()
    assert len(files) == 2
    assert all(Path(file).is_relative_to(environment) for file in files)
    study = write_phantom(tmp_path, rows=256, columns=256)
    drafted = run(programs / "report-gen", "draft", study, "--method", "greedy", "--candidates", "1", cwd=tmp_path)
    assert drafted.startswith(BANNER)
    assert "IMPRESSION" in drafted
