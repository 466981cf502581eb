"""Corpora as people have them: any column names and separators, and the common layouts of images with texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_gen.cli.corpus_help import MINIMAL_RECIPE
from report_gen.corpora import read_columns, read_corpus
from report_gen.errors import CorpusError, UsageError
from tests.builders import noise_image, write_png
from tests.corpus_layouts import LAYOUTS

HEADER = "filename,report_text,PatientID,scanner\n"


@pytest.mark.parametrize("name", LAYOUTS)
def test_images_reports_and_patients_are_found(tmp_path: Path, name: str) -> None:
    write, columns = LAYOUTS[name]
    (tmp_path / "my_files").mkdir()
    write(tmp_path / "my_files")
    corpus = read_corpus(tmp_path / "my_files", columns=columns)
    assert len(corpus) == len(set(corpus["study_id"])) == 40
    assert all(len(images) == 1 and Path(images[0]).is_file() for images in corpus["images"])
    assert all(corpus["findings"])
    assert all(corpus["impression"])
    assert len(set(corpus["patient_id"])) == (1 if name == "image and text file" else 20)


def table(folder: Path, text: str) -> Path:
    write_png(folder / "a.png", noise_image(1))
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return folder


def test_recognized_and_unrecognized_columns_are_listed(tmp_path: Path) -> None:
    use = read_columns(table(tmp_path, HEADER + "a.png,Clear.,7,x\n"))
    assert use is not None
    assert use.fields == {"images": ("filename",), "report": ("report_text",), "patient_id": ("PatientID",)}
    assert use.unused == ("scanner",)


def test_a_mapping_comes_before_usual_names(tmp_path: Path) -> None:
    folder = table(tmp_path, "filename,text,befund\na.png,ignored,The lungs are clear.\n")
    assert read_corpus(folder, columns={"report": "befund"})["findings"][:] == ["The lungs are clear."]


def test_several_image_columns_are_joined(tmp_path: Path) -> None:
    write_png(tmp_path / "b.png", noise_image(2))
    folder = table(tmp_path, "front,side,text\na.png,b.png,Clear.\n")
    (row,) = read_corpus(folder, columns={"image": ("front", "side"), "report": "text"})
    assert [Path(image).name for image in row["images"]] == ["a.png", "b.png"]


def test_wrong_mappings_are_refused(tmp_path: Path) -> None:
    folder = table(tmp_path, HEADER + "a.png,Clear.,7,x\n")
    with pytest.raises(CorpusError, match="no column 'scan' for image; choose from 'filename', 'report_text'"):
        read_corpus(folder, columns={"image": "scan"})
    with pytest.raises(UsageError, match="no field 'picture'; use image, report"):
        read_corpus(folder, columns={"picture": "filename"})


def test_absolute_paths_that_may_be_one_file_are_refused(tmp_path: Path) -> None:
    folder = table(tmp_path, "image,text\nC:\\p1\\a.png,Clear.\nC:\\p2\\a.png,Dim.\n")
    with pytest.raises(CorpusError, match="both match"):
        read_corpus(folder)


def test_a_name_of_another_folder_is_not_taken_for_the_image(tmp_path: Path) -> None:
    write_png(tmp_path / "p2" / "view.png", noise_image(1))
    (tmp_path / "list.csv").write_text("image,text\np1/view.png,Clear.\n")
    with pytest.raises(CorpusError, match=r"1 of 1 images are missing: .*p1/view\.png"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_encodings(tmp_path: Path, encoding: str, separator: str) -> None:
    write_png(tmp_path / "a.png", noise_image(1))
    lines = [["image", "text", "patient"], ["a.png", '"Clear, yes; é"', "7"]]
    (tmp_path / "x.csv").write_text("\n".join(map(separator.join, lines)) + "\n", encoding=encoding)
    (row,) = read_corpus(tmp_path)
    assert (row["findings"], row["patient_id"]) == ("Clear, yes; é", "7")


def test_one_table_per_split(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise_image(1))
    for number, split in enumerate(("train", "valid", "test")):
        (tmp_path / f"{split}.csv").write_text(f"id,image,text\n{number},a.png,Clear.\n")
    assert sorted(read_corpus(tmp_path)["split"]) == ["test", "train", "val"]


def test_captions_of_one_image_are_joined(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise_image(1))
    annotations = [{"id": n, "image_id": 5, "caption": text} for n, text in enumerate(("Clear.", "No effusion."))]
    document = {"images": [{"id": 5, "file_name": "a.png"}], "annotations": annotations}
    (tmp_path / "captions_val.json").write_text(json.dumps(document))
    (row,) = read_corpus(tmp_path)
    assert (row["findings"], row["split"], row["study_id"]) == ("Clear. No effusion.", "val", "5")


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([{"id": {}, "file_name": "a.png"}], [], "image 1 has no number or text as 'id'"),
        ([{"id": 5}], [], "image 1 has no 'file_name'"),
        (
            [{"id": 5, "file_name": "a.png"}],
            [{"image_id": [5], "caption": "Clear."}],
            "annotation 1 has no number or text",
        ),
        (
            [{"id": 5, "file_name": "a.png"}],
            [{"caption": "Clear."}],
            "annotation 1 has no number or text as 'image_id'",
        ),
    ],
)
def test_captions_without_usable_ids_are_refused(
    tmp_path: Path, images: list[object], annotations: list[object], message: str
) -> None:
    document = {"images": images, "annotations": annotations}
    (tmp_path / "captions.json").write_text(json.dumps(document))
    with pytest.raises(CorpusError, match=rf"captions\.json: {message}"):
        read_corpus(tmp_path, layout="coco")


def test_the_readme_shows_the_minimal_recipe() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"```toml\n{MINIMAL_RECIPE}```" in readme
    assert len(MINIMAL_RECIPE.splitlines()) == 12
