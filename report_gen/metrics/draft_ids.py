"""Match drafts with references whose study ids are file names of images or Study Instance UIDs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from report_gen.errors import CorpusError
from report_gen.files import IMAGE_SUFFIXES
from report_gen.metrics.draft_files import read_study_uids

_SUFFIXES = (*sorted(IMAGE_SUFFIXES), ".nii.gz", ".nii", ".zip")
"""Suffixes of images and archives. Ids in a table of references may have them; names of drafts do not."""


def match_ids(
    path: Path, predictions: Mapping[str, str], references: Mapping[str, str]
) -> tuple[Mapping[str, str], list[str]]:
    """Return the predictions by the ids of the references, with a notice if these differ from the ids of the drafts.

    Predictions and references are first matched by equal ids. If no id is in common, they are matched without folders
    and suffixes of images ("images/chest.png" becomes "chest"), and then by the Study Instance UIDs in the drafts of a
    folder.

    Args:
        path: The file or folder of the predictions.
        predictions: Texts by study id.
        references: Texts by study id.

    Raises:
        CorpusError: There are predictions and references, but no id is in common.
    """
    if not predictions or not references or predictions.keys() & references.keys():
        return predictions, []
    names = _renamed(predictions, references, _file_stem, {name: _file_stem(name) for name in predictions})
    if names is not None:
        return names, [f"{path}: ids were compared without folders and suffixes of images"]
    uids = read_study_uids(path) if path.is_dir() else {}
    names = _renamed(predictions, references, str, uids)
    if names is not None:
        return names, [f"{path}: drafts were found by the Study Instance UID in them, not by their names"]
    raise CorpusError(
        f"{path}: no id in common with the references ({next(iter(predictions))!r} here, {next(iter(references))!r} "
        f"there); {_remedy(path)}"
    )


def _renamed(
    predictions: Mapping[str, str],
    references: Iterable[str],
    key: Callable[[str], str],
    keys: Mapping[str, str],
) -> Mapping[str, str] | None:
    """Return the predictions by the ids of the references with the same key.

    Args:
        predictions: Texts by study id.
        references: Ids of the references.
        key: Returns the key of the id of a reference.
        keys: Key of each prediction that has one.

    Returns:
        The predictions; one without a reference keeps its id. None if no key is in common, or a key has several ids.
    """
    by_key = {key(name): name for name in references}
    several = len(by_key) < len(list(references)) or len(set(keys.values())) < len(keys)
    if several or by_key.keys().isdisjoint(keys.values()):
        return None
    return {by_key.get(keys.get(name, name), name): text for name, text in predictions.items()}


def _file_stem(name: str) -> str:
    """Return an id without folders and the suffix of an image."""
    last = PurePosixPath(name.replace("\\", "/")).name
    suffix = next((one for one in _SUFFIXES if last.lower().endswith(one)), "")
    return last[: len(last) - len(suffix)]


def _remedy(path: Path) -> str:
    """Return what to do if no id is in common."""
    if path.is_dir():
        return (
            "the id of a draft is its file name without suffix: give the references a column with these names, or with "
            "Study Instance UIDs, and name the column with --id-column"
        )
    return "use the same study ids in both files"
