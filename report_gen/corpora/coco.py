"""Layout `coco`: captions in the format of COCO (Chen et al., arXiv:1504.00325), {images: [...], annotations: [...]}.

The file, or one per split such as captions_val2017.json, is in the folder or in its folder `annotations`. Several
captions of one image are joined to one report. Further keys of images and annotations are read like the columns of the
layout `manifest`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from report_gen.corpora.json_items import stream_arrays
from report_gen.corpora.row_tables import RowTable, names_of_rows
from report_gen.corpora.table_folders import split_of_name
from report_gen.corpora.text_files import read_chunks
from report_gen.errors import CorpusError

_FOLDER = "annotations"
_FIRST = 2**16
"""Characters in which the names of the lists are looked for."""
_KEYS = re.compile(r'"(images|annotations)"\s*:\s*\[')


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return bool(_files(path))


def tables(path: Path) -> Sequence[RowTable]:
    """Return the table of each file.

    Raises:
        CorpusError: There is no file of this format.
    """
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise CorpusError(f"{path}: no JSON file with the lists 'images' and 'annotations'; check the path")
    return tuple(
        RowTable(
            source=file,
            folder=(file.parent.parent if file.parent.name == _FOLDER else file.parent).resolve(),
            rows=partial(_rows, file),
            names=partial(_names, file),
            split=split_of_name(file.stem),
            prefix=f"{file.stem}/" if len(files) > 1 else "",
            own_ids=True,
        )
        for file in files
    )


def _files(path: Path) -> list[Path]:
    folders = [path, path / _FOLDER]
    files = [path] if path.is_file() else [file for folder in folders for file in sorted(folder.glob("*.json"))]
    return [file for file in files if file.suffix.lower() == ".json" and _is_coco(file)]


def _is_coco(file: Path) -> bool:
    """Return whether the head of a file is that of an object with a list of images with files, or of annotations."""
    try:
        head = next(read_chunks(file, _FIRST), "")
    except CorpusError:
        return False
    keys = set(_KEYS.findall(head))
    return head.lstrip().startswith("{") and (
        len(keys) == 2 or (keys == {"images"} and '"file_name"' in head) or (bool(keys) and '"image_id"' in head)
    )


def _names(file: Path) -> dict[str, None]:
    return names_of_rows(_rows(file, None))


def _rows(file: Path, _columns: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """Yield one row per image. The captions of a file are in memory, because they may come before or after the images.

    Raises:
        CorpusError: A list or an item has another format.
    """
    annotations: dict[Any, dict[str, Any]] = {}
    for number, item in enumerate(_items(file, "annotations"), start=1):
        row = annotations.setdefault(_id(item, "image_id", f"{file}: annotation {number}"), {})
        captions = [text for text in (row.get("caption"), item.get("caption")) if text]
        row |= {key: value for key, value in item.items() if key not in ("id", "image_id", "caption")}
        row["caption"] = " ".join(map(str, captions))
    for number, image in enumerate(_items(file, "images"), start=1):
        if "file_name" not in image:
            raise CorpusError(f"{file}: image {number} has no 'file_name'; add it")
        yield annotations.get(_id(image, "id", f"{file}: image {number}"), {}) | image


def _id(item: dict[str, Any], key: str, location: str) -> str | int | float:
    value = item.get(key)
    if not isinstance(value, str | int | float):
        raise CorpusError(f"{location} has no number or text as {key!r}; add it")
    return value


def _items(file: Path, name: str) -> Iterator[dict[str, Any]]:
    found = False
    for key, items in stream_arrays(file):
        if key == name and items is not None:
            found = True
            for number, item in enumerate(items, start=1):
                if not isinstance(item, dict):
                    raise CorpusError(f"{file}: item {number} of {name!r} is not a JSON object; correct the file")
                yield item
    if not found:
        raise CorpusError(f"{file}: no list {name!r}, so these are not captions in the format of COCO; check the file")
