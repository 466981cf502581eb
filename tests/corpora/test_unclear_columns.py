"""Tables whose columns, names or ids can be read in two ways, and paths that hold no corpus."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from report_gen.cli.options import Layout as LayoutOption
from report_gen.corpora import LAYOUTS, read_columns, read_corpus
from report_gen.errors import CorpusError, UsageError
from tests.builders import noise_image, write_png

WHOLE = "FINDINGS: The heart is enlarged. IMPRESSION: Cardiomegaly."


def write_table(folder: Path, *lines: str) -> Path:
    write_png(folder / "a.png", noise_image(1))
    (folder / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def read_sections(folder: Path, **columns: str) -> tuple[str, str]:
    (row,) = read_corpus(folder, columns=columns)
    return row["findings"], row["impression"]


@pytest.mark.parametrize(("other", "value"), [("findings", "Effusion|Edema"), ("impression", "Nothing.")])
def test_a_mapped_report_comes_before_columns_with_usual_names(tmp_path: Path, other: str, value: str) -> None:
    write_table(tmp_path, f"image,befund,{other}", f"a.png,{WHOLE},{value}")
    assert read_sections(tmp_path, report="befund") == ("The heart is enlarged.", "Cardiomegaly.")


def test_a_mapped_report_without_an_impression_takes_it_from_its_column(tmp_path: Path) -> None:
    write_table(tmp_path, "image,befund,impression", "a.png,The heart is enlarged.,Cardiomegaly.")
    assert read_sections(tmp_path, report="befund") == ("The heart is enlarged.", "Cardiomegaly.")
    write_table(tmp_path, "image,befund,impression", "a.png,The heart is enlarged. Cardiomegaly.,Cardiomegaly.")
    assert read_sections(tmp_path, report="befund") == ("The heart is enlarged. Cardiomegaly.", "")


def test_a_report_beside_an_impression_gives_the_findings(tmp_path: Path) -> None:
    write_table(tmp_path, "image,report,impression", f"a.png,{WHOLE},Enlarged heart.")
    assert read_sections(tmp_path) == ("The heart is enlarged.", "Enlarged heart.")


def test_a_report_that_repeats_the_impression_gives_no_findings(tmp_path: Path) -> None:
    write_table(tmp_path, "image,report,impression", "a.png,Cardiomegaly.,Cardiomegaly.")
    assert read_sections(tmp_path) == ("", "Cardiomegaly.")


def test_mapped_sections_come_before_a_mapped_report(tmp_path: Path) -> None:
    write_table(tmp_path, "image,befund,b", f"a.png,{WHOLE},Own.")
    assert read_sections(tmp_path, report="befund", findings="b") == ("Own.", "Cardiomegaly.")


def test_several_mapped_reports_are_joined(tmp_path: Path) -> None:
    write_table(tmp_path, "image,b1,b2", "a.png,FINDINGS: Clear.,IMPRESSION: Normal.")
    (row,) = read_corpus(tmp_path, columns={"report": ("b1", "b2")})
    assert (row["findings"], row["impression"]) == ("Clear.", "Normal.")


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({}, {"report": "report, where findings or impression is empty", "impression": "impression"}),
        ({"report": "befund"}, {"befund": "report", "impression": "impression, where befund has none"}),
        ({"report": "befund"}, {"report": "not read: report=befund is given"}),
        ({"impression": "befund"}, {"impression": "not read: impression=befund is given"}),
    ],
)
def test_the_use_of_each_column_is_described(tmp_path: Path, mapping: dict[str, str], expected: dict[str, str]) -> None:
    use = read_columns(write_table(tmp_path, "image,befund,report,impression", "a.png,x,y,z"), columns=mapping)
    assert use is not None
    assert expected.items() <= dict(use.describe()).items()


@pytest.mark.parametrize("layout", ["imagefolder", "coco"])
def test_splits_may_repeat_the_names_of_images(tmp_path: Path, layout: str) -> None:
    for number, split in enumerate(("train", "validation")):
        write_png(tmp_path / split / "a.png", noise_image(number))
        if layout == "imagefolder":
            row = {"file_name": "a.png", "text": "Clear."}
            (tmp_path / split / "metadata.jsonl").write_text(json.dumps(row))
        else:
            images = [{"id": 0, "file_name": f"{split}/a.png"}]
            captions = [{"id": 0, "image_id": 0, "caption": "Clear."}]
            document = {"images": images, "annotations": captions}
            (tmp_path / f"captions_{split}.json").write_text(json.dumps(document))
    corpus = read_corpus(tmp_path)
    assert sorted(corpus["split"]) == ["train", "val"]
    prefixes = ("train/a", "validation/a") if layout == "imagefolder" else ("captions_train/0", "captions_validation/0")
    assert sorted(corpus["study_id"]) == list(prefixes)


def test_a_name_of_images_in_two_folders_is_refused(tmp_path: Path) -> None:
    for folder in ("p1", "p2"):
        write_png(tmp_path / folder / "view.png", noise_image(1))
    (tmp_path / "list.csv").write_text("image,text\nview.png,Clear.\n")
    with pytest.raises(CorpusError, match=r"row 1: the image 'view.png' may be 'p1/view.png' or 'p2/view.png'"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("term", "view"),
    [
        ("AP Portable", "AP"),
        ("postero-anterior", "PA"),
        ("Antero-Posterior", "AP"),
        ("front", "FRONTAL"),
        ("Chest PA", "PA"),
        ("PA (erect)", "PA"),
        ("Left lateral", "LATERAL"),
        ("left lateral decubitus", "DECUBITUS"),
        ("Right anterior oblique", "OBLIQUE"),
        ("PA and lateral", "UNKNOWN"),
        ("PA/LAT", "UNKNOWN"),
        ("anterior", "UNKNOWN"),
        ("knee AP", "UNKNOWN"),
    ],
)
def test_words_for_views(tmp_path: Path, term: str, view: str) -> None:
    write_table(tmp_path, "image,text,view", f"a.png,Clear.,{term}")
    assert read_corpus(tmp_path)["view_positions"][:] == [[view]]


@pytest.mark.parametrize(
    ("written", "read"), [("7.0", "7"), ("0.0", "0"), ("7", "7"), ("1.2.0", "1.2.0"), ("nan", ""), ("7.5", "7.5")]
)
def test_patient_ids_that_pandas_wrote(tmp_path: Path, written: str, read: str) -> None:
    write_table(tmp_path, "image,text,patient", f"a.png,Clear.,{written}")
    assert read_corpus(tmp_path)["patient_id"][:] == [read]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": "text", "report": "image"}, "row 1: 'text' holds a text and no file name; check which column"),
        ({"report": "image"}, "row 1: 'image' holds a file name and no text; check which column"),
    ],
)
def test_a_swapped_mapping_is_named(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    write_table(tmp_path, "image,text", "a.png,The lungs are clear.")
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path, columns=columns)


def test_a_name_with_spaces_is_a_file_name(tmp_path: Path) -> None:
    write_png(tmp_path / "left upper view.png", noise_image(1))
    write_table(tmp_path, "image,text", "left upper view,Clear.")
    assert len(read_corpus(tmp_path)["images"][0]) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "the folder is empty; check the path"),
        (["a.png", "b/c.dcm.bak", "b/d.jpg"], "the folder contains 2 images but no texts; add a table"),
        (["a.doc"], "the folder contains neither images nor a table"),
        (["a.png", "b.xml"], "no known corpus layout; choose from r2gen"),
    ],
)
def test_a_folder_without_a_corpus_says_what_it_lacks(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path)


@pytest.mark.parametrize("function", ["scandir", "stat"])
@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_a_folder_that_may_not_be_read_or_entered_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str | None, function: str
) -> None:
    """Root may enter every folder, so the answer of the system is set."""
    folder, original = tmp_path / "closed", getattr(os, function)
    folder.mkdir()

    def refused(path: Any, **options: Any) -> Any:
        if str(path) == {"scandir": f"{folder}", "stat": f"{folder}/."}[function]:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, **options)

    monkeypatch.setattr(os, function, refused)
    with pytest.raises(CorpusError) as error:
        read_corpus(folder, layout=layout)
    assert str(error.value).removeprefix(str(folder)).removeprefix("/.") == (
        ": cannot be read (Permission denied); check its permissions"
    )


@pytest.mark.parametrize("layout", [None, "openi", "nih", "medpix", "manifest", "mimic-cxr", "imagefolder"])
def test_files_that_may_not_be_examined_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str | None
) -> None:
    folder, stat = tmp_path / "closed", Path.stat
    folder.mkdir()

    def refused(path: Path, **options: bool) -> os.stat_result:
        if path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(CorpusError, match=r"cannot be read \(Permission denied\); check"):
        read_corpus(folder, layout=layout)


def test_a_file_that_is_no_table_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(CorpusError, match=r"a\.pdf: not a table; give a file of CSV"):
        read_corpus(tmp_path / "a.pdf")


def test_a_mapping_of_a_layout_with_fixed_columns_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise_image(1))
    (tmp_path / "a.txt").write_text("The lungs are clear.")
    with pytest.raises(CorpusError, match="the layout 'image-text' has fixed columns; leave out the mapping"):
        read_corpus(tmp_path, columns={"image": "x"})


def test_an_unknown_layout_is_a_wrong_call_and_the_help_lists_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown corpus layout 'nope'; choose from r2gen"):
        read_corpus(tmp_path, layout="nope")
    assert f": {', '.join(LAYOUTS)}. Default" in LayoutOption.__metadata__[0].help  # type: ignore[attr-defined]
