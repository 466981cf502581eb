"""Write a small corpus of drawn radiographs in each layout that people use. Run as a program to try them all out:

    python -m tests.corpus_layouts OUT

For each layout the commands of the README run, from `corpus check` to `draft`; minutes and messages are printed.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from report_gen.cli.corpus_help import MINIMAL_RECIPE
from report_gen.phantom.corpus import write_phantom_corpus
from report_gen.terminal import print_text

Study = dict[str, str]
"""File name of the image, report and patient."""


def draw_studies(folder: Path, studies: int = 40) -> list[Study]:
    """Draw radiographs with shuffled names into a folder. Return them in the order of their names."""
    write_phantom_corpus(folder, studies=studies, size=96)
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    (folder / "manifest.jsonl").unlink()
    numbers = np.random.default_rng(1).permutation(len(rows))
    found = []
    for number, row in zip(numbers, rows, strict=True):
        (folder / row["images"][0]).rename(folder / f"scan_{number:03}.png")
        report = f"FINDINGS: {row['findings']}\nIMPRESSION: {row['impression']}"
        found.append({"name": f"scan_{number:03}.png", "report": report, "patient": f"P{number // 2}"})
    return sorted(found, key=lambda study: study["name"])


def write_table(file: Path, header: Sequence[str], rows: Sequence[Sequence[str]], *, delimiter: str = ",") -> None:
    """Write a delimited file."""
    with file.open("w", newline="", encoding="utf-8-sig") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows])


def _usual_csv(root: Path) -> None:
    studies = draw_studies(root / "images")
    rows = [(s["name"], s["report"], s["patient"], "x") for s in studies]
    write_table(root / "data.csv", ("filename", "report_text", "PatientID", "scanner"), rows)


def _mapped_tsv(root: Path) -> None:
    studies = draw_studies(root / "pics")
    rows = [(s["name"], s["report"], s["patient"]) for s in studies]
    write_table(root / "liste.tsv", ("Bild", "Befund", "Fall"), rows, delimiter="\t")


def _semicolons(root: Path) -> None:
    studies = draw_studies(root)
    rows = [(s["patient"], s["name"], s["report"]) for s in studies]
    write_table(root / "export.csv", ("subject_id", "image_path", "text"), rows, delimiter=";")


def _imagefolder(root: Path) -> None:
    lines = [
        json.dumps({"file_name": s["name"], "text": s["report"], "patient_id": s["patient"]})
        for s in draw_studies(root)
    ]
    (root / "metadata.jsonl").write_text("\n".join(lines))


def _coco(root: Path) -> None:
    studies = draw_studies(root / "images")
    images = [{"id": n, "file_name": s["name"], "patient_id": s["patient"]} for n, s in enumerate(studies)]
    captions = [{"id": n + 7, "image_id": n, "caption": s["report"]} for n, s in enumerate(studies)]
    (root / "annotations").mkdir()
    document = {"info": {}, "images": images, "annotations": captions}
    (root / "annotations" / "captions.json").write_text(json.dumps(document))


def _json_list(root: Path) -> None:
    studies = draw_studies(root / "img")
    rows = [{"image": f"img/{s['name']}", "caption": s["report"], "subject": s["patient"]} for s in studies]
    (root / "dataset.json").write_text(json.dumps(rows))


def _image_text(root: Path) -> None:
    for study in draw_studies(root):
        (root / study["name"]).with_suffix(".txt").write_text(study["report"])


def _windows_paths(root: Path) -> None:
    studies = draw_studies(root / "images")
    rows = [(f"D:\\export\\images\\{s['name']}", s["report"], s["patient"]) for s in studies]
    write_table(root / "list.csv", ("Path", "Report", "Patient ID"), rows)


def _absolute_paths(root: Path) -> None:
    studies = draw_studies(root / "images")
    rows = [(str((root / "images" / s["name"]).resolve()), s["report"], s["patient"]) for s in studies]
    write_table(root / "list.csv", ("image", "report", "mrn"), rows)


LAYOUTS: Mapping[str, tuple[Callable[[Path], None], dict[str, str]]] = {
    "csv, usual names": (_usual_csv, {}),
    "tsv, mapped names": (_mapped_tsv, {"image": "Bild", "report": "Befund", "patient": "Fall"}),
    "csv, semicolons and BOM": (_semicolons, {}),
    "imagefolder": (_imagefolder, {}),
    "coco": (_coco, {}),
    "json list": (_json_list, {}),
    "image and text file": (_image_text, {}),
    "windows paths": (_windows_paths, {}),
    "absolute paths": (_absolute_paths, {}),
}
"""By name: what writes the corpus into a folder, and the columns that must be mapped."""


def main(out: Path) -> None:
    """Run the commands of the README on each layout and print a Markdown table."""
    print_text("| layout | minutes | exit codes of check, split, train, draft | messages |\n|---|---|---|---|")
    for number, (name, (write, columns)) in enumerate(LAYOUTS.items()):
        folder = out / str(number)
        folder.mkdir(parents=True)
        write(folder / "my_files")
        (folder / "my_recipe.toml").write_text(MINIMAL_RECIPE)
        mapping = ["--columns", ",".join(f"{f}={c}" for f, c in columns.items())] if columns else []
        start = time.monotonic()
        image = next((folder / "my_files").rglob("*.png")).relative_to(folder)
        commands: list[list[Any]] = [
            ["corpus", "check", "my_files", *mapping, "--strict"],
            ["corpus", "split", "my_files", *mapping, "--output", "my_corpus"],
            ["train", "my_recipe.toml", "--set", "stages.0.steps=4", "--set", "stages.0.batch_size=4", "--quiet"],
            ["draft", str(image), "--checkpoint", "runs/first"],
        ]
        runs = [
            subprocess.run(
                [str(Path(sys.executable).with_name("report-gen")), *command],
                cwd=folder, capture_output=True, text=True, check=False,
            )
            for command in commands
        ]  # fmt: skip
        messages = [line for run in runs for line in run.stderr.splitlines() if line[:5] in ("note:", "repor")]
        serious = [line for line in runs[0].stdout.splitlines() if "patients of" in line or "no study" in line]
        minutes = (time.monotonic() - start) / 60
        codes = ", ".join(str(run.returncode) for run in runs)
        print_text(f"| {name} | {minutes:.1f} | {codes} | {' / '.join([*serious, *messages])} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
