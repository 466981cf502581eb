"""Folders written by `save_to_disk` of `datasets`."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError


def rows(*names: str) -> list[dict[str, Any]]:
    return [{"uid": name, "Findings": f"Clear {name}.", "Edema": 1.0} for name in names]


def test_the_datasets_of_a_dict_are_the_splits(tmp_path: Path) -> None:
    parts = {"train": rows("a", "b"), "validation": rows("c"), "test": rows("d")}
    DatasetDict({name: Dataset.from_list(part) for name, part in parts.items()}).save_to_disk(tmp_path / "saved")
    corpus = read_corpus(tmp_path / "saved")
    assert corpus["study_id"][:] == ["a", "b", "c", "d"]
    assert corpus["split"][:] == ["train", "train", "val", "test"]
    assert corpus["findings"][2] == "Clear c."
    assert corpus["labels"][0][5] == 1.0


def test_one_dataset_with_a_column_of_splits_and_paths_of_images(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    table = [{"id": 7, "report": "FINDINGS: Clear.", "image": "x.png", "view": "PA", "split": "dev"}]
    Dataset.from_list(table).save_to_disk(saved)
    (saved / "x.png").touch()
    (study,) = read_corpus(saved)
    assert (study["study_id"], study["findings"], study["split"]) == ("7", "Clear.", "val")
    assert (study["images"], study["view_positions"]) == ([str(saved / "x.png")], ["PA"])


def embedded(folder: Path, *, several: bool) -> Path:
    files = []
    for number in (1, 2):
        files.append(folder / f"{number}.{'png' if number == 1 else 'jpg'}")
        PIL.Image.new("L", (4, 4), 100 * number).save(files[-1])
    data = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    kind = {"images": List(Image())} if several else {"image": Image()}
    images = [{"images": data}, {"images": data[:1]}] if several else [{"image": data[0]}, {"image": data[1]}]
    table = [{"id": str(n), "findings": f"Clear {n}."} | image for n, image in enumerate(images)]
    features = Features({"id": Value("string"), "findings": Value("string"), **kind})
    Dataset.from_list(table, features=features).save_to_disk(folder / "saved")
    return folder / "saved"


@pytest.mark.parametrize("several", [False, True])
def test_embedded_images_are_written_to_the_store_once(tmp_path: Path, several: bool) -> None:
    saved, store = embedded(tmp_path, several=several), tmp_path / "store"
    before = sorted(saved.iterdir())
    corpus = read_corpus(saved, store=store)
    files = [Path(image) for images in corpus["images"] for image in images]
    assert [file.suffix for file in files] == ([".png", ".jpg", ".png"] if several else [".png", ".jpg"])
    assert len(list((store / "images").iterdir())) == 2
    assert files[1].read_bytes() == (tmp_path / "2.jpg").read_bytes()
    times = [file.stat().st_mtime_ns for file in files]
    again = read_corpus(saved, store=store)
    assert again["images"][:] == corpus["images"][:]
    assert [file.stat().st_mtime_ns for file in files] == times
    assert sorted(saved.iterdir()) == before


def test_embedded_images_need_a_store(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the images are embedded and need a folder to be written to"):
        read_corpus(embedded(tmp_path, several=False))


def test_rows_of_one_study_are_joined(tmp_path: Path) -> None:
    table = [{"id": "1", "findings": "x", "image": f"{n}.png"} for n in range(2)]
    Dataset.from_list(table).save_to_disk(tmp_path / "saved")
    (study,) = read_corpus(tmp_path / "saved", require_images=False)
    assert study["findings"] == "x"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([{"id": "1", "remark": "x"}], "its columns are 'id', 'remark'; name them with --columns FIELD=COLUMN"),
        ([{"id": "", "findings": "x"}], "row 1 has no study id"),
        ([{"id": "1", "findings": ["x"]}], "'findings' must be a text"),
        ([{"id": "1", "findings": "x", "image": 3}], "'image' is not a list of texts"),
        ([{"id": "1", "findings": "x", "split": "holdout"}], "unknown split 'holdout'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path: Path, table: list[dict[str, Any]], message: str) -> None:
    Dataset.from_list(table).save_to_disk(tmp_path / "saved")
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path / "saved", require_images=False)


def test_a_split_of_another_name_is_refused(tmp_path: Path) -> None:
    DatasetDict({"train_1": Dataset.from_list(rows("a"))}).save_to_disk(tmp_path / "saved")
    with pytest.raises(CorpusError, match="unknown split 'train_1'"):
        read_corpus(tmp_path / "saved")


def test_offsets_outside_of_the_file_are_refused(tmp_path: Path) -> None:
    """Reading such a text would crash the process, or copy foreign memory into the corpus."""
    table = [{"id": "1", "findings": "A" * 7}, {"id": "2", "findings": "B" * 7}]
    Dataset.from_list(table).save_to_disk(tmp_path / "saved")
    file = next((tmp_path / "saved").glob("*.arrow"))
    offsets, far = struct.pack("<iii", 0, 7, 14), struct.pack("<iii", 0, 7, 2**30)
    assert file.read_bytes().count(offsets) == 1
    file.write_bytes(file.read_bytes().replace(offsets, far))
    with pytest.raises(CorpusError, match=r"the data are damaged .*; save the dataset again"):
        read_corpus(tmp_path / "saved")


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    Dataset.from_list(rows("a")).save_to_disk(saved)
    arrow = next(saved.glob("*.arrow"))
    whole, state = arrow.read_bytes(), json.loads((saved / "state.json").read_text())
    for change in (
        lambda: arrow.write_bytes(b"x" * 100),
        lambda: arrow.unlink(),
        lambda: (saved / "state.json").write_text("{"),
        lambda: (saved / "state.json").write_text("[]"),
        lambda: (saved / "state.json").write_text("[" * 100_000),
        lambda: (saved / "state.json").write_text(json.dumps(state | {"_data_files": []})),
        lambda: (saved / "dataset_info.json").write_text('{"features": 7}'),
    ):
        arrow.write_bytes(whole)
        (saved / "state.json").write_text(json.dumps(state))
        change()
        faults = ("not a complete folder of save_to_disk", "the data file of a dataset is", "names no data files")
        with pytest.raises(CorpusError, match="|".join(faults)):
            read_corpus(saved)


def replace(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("left", [0, 1, 8, 100, 0.5, 0.99])
def test_a_truncated_data_file_is_refused(tmp_path: Path, left: float) -> None:
    Dataset.from_list(rows("a") * 2000).save_to_disk(tmp_path / "saved")
    arrow = next((tmp_path / "saved").glob("*.arrow"))
    whole = arrow.read_bytes()
    arrow.unlink()  # a new file, because a mapped one must not shrink
    arrow.write_bytes(whole[: int(left * len(whole) if left < 1 else left)])
    with pytest.raises(CorpusError, match="saved: not a complete folder of save_to_disk"):
        read_corpus(tmp_path / "saved")


@pytest.mark.parametrize(
    "feature",
    [
        {"_type": "Nope"},
        {"_type": "Audio"},
        {"_type": "Array2D", "shape": [2, 2], "dtype": "int8"},
        {"_type": "ClassLabel", "names": ["a"]},
        {"_type": "Value", "dtype": "int64"},
        {"_type": "Value", "dtype": "nope"},
        7,
    ],
)
def test_foreign_features_are_refused(tmp_path: Path, feature: Any) -> None:
    saved = tmp_path / "saved"
    Dataset.from_list(rows("a")).save_to_disk(saved)
    features = json.loads((saved / "dataset_info.json").read_text())["features"]
    replace(saved / "dataset_info.json", features=features | {"Findings": feature})
    with pytest.raises(CorpusError, match="saved: not a complete folder of save_to_disk"):
        read_corpus(saved)


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, '{"a": 1, "a": 2}', "7", "\0"])
def test_malformed_descriptions_are_refused(tmp_path: Path, name: str, content: str) -> None:
    Dataset.from_list(rows("a")).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / name).write_text(content)
    with pytest.raises(CorpusError, match=r"not a complete folder of save_to_disk|contains NUL bytes"):
        read_corpus(tmp_path / "saved")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "names no data files"),
        ([{"filename": "../other/data.arrow"}], "or files in another folder"),
        ([{"filename": "/etc/passwd"}], "or files in another folder"),
        ([{"filename": "pipe.arrow"}], "pipe.arrow: the data file of a dataset is missing or not a regular file"),
        ([{"filename": "none.arrow"}], "none.arrow: the data file of a dataset is missing or not a regular file"),
        ([{"name": "x"}], "not a complete folder"),
        (None, "not a complete folder"),
    ],
)
def test_data_files_must_be_regular_files_in_the_folder(tmp_path: Path, files: Any, message: str) -> None:
    saved = tmp_path / "saved"
    Dataset.from_list(rows("a")).save_to_disk(saved)
    os.mkfifo(saved / "pipe.arrow")
    replace(saved / "state.json", _data_files=files)
    with pytest.raises(CorpusError, match=message):
        read_corpus(saved)


@pytest.mark.parametrize("splits", [[], {}, None, ["../other"], ["train", "absent"], [7]])
def test_the_splits_of_a_dict_must_be_folders_in_it(tmp_path: Path, splits: Any) -> None:
    DatasetDict({"train": Dataset.from_list(rows("a"))}).save_to_disk(tmp_path / "saved")
    replace(tmp_path / "saved" / "dataset_dict.json", splits=splits)
    with pytest.raises(
        CorpusError, match=r"names no splits, or a folder elsewhere|not a complete folder|cannot be read"
    ):
        read_corpus(tmp_path / "saved")


@pytest.mark.parametrize(
    "name", ["state.json", "dataset_info.json", "dataset_dict.json", "manifest.jsonl", "a.xml", "a"]
)
def test_a_pipe_in_a_corpus_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(CorpusError):
        read_corpus(tmp_path)
    with pytest.raises(CorpusError):
        read_corpus(tmp_path / name)
