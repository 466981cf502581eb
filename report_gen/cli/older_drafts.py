"""Notices of `report-gen draft` on documents in the folder that do not belong to the new drafts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.outputs.older_documents import OlderDocument

_SHOWN = 3
"""Number of files, and of formats, that a notice names."""


class OlderDrafts:
    """Collects the documents beside all new drafts of a batch, and prints one notice of each kind.

    Args:
        folder: Folder of the drafts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outdated: list[list[OlderDocument]] = []
        self._other_images: list[list[str]] = []

    def add(self, outdated: Iterable[OlderDocument], other_images: Iterable[str]) -> None:
        """Add the documents beside the draft of one study.

        Args:
            outdated: Documents of an older draft.
            other_images: File names of drafts of the same study from other images.
        """
        self._outdated.append(list(outdated))
        self._other_images.append(list(other_images))

    def print(self) -> None:
        """Print the notices."""
        first = [found for study in self._outdated if (found := [one for one in study if not one.is_version])]
        if first:
            self._print_first(first)
        later = [found for study in self._outdated if (found := [one for one in study if one.is_version])]
        if later:
            self._print_later(later)
        other_images = [names for names in self._other_images if names]
        if other_images:
            studies = _count(other_images, "the same study", "the same {} studies")
            print_notice(
                f"{self._folder}: drafts of {studies} from other images, such as before a further view arrived: "
                f"{_list_names(name for names in other_images for name in names)}; remove them, or choose another "
                "folder"
            )

    def _print_first(self, found: Sequence[Sequence[OlderDocument]]) -> None:
        documents = [one for study in found for one in study]
        drafts = _count(found, "an older draft of a study", "older drafts of {} studies")
        # Formats with options come first, because the user would not guess the options.
        words = {one.output_format.name: _options(one) for one in sorted(documents, key=lambda one: not one.layout)}
        renewing = [" ".join((f"--format {name}", *options)) for name, options in words.items()]
        more = " and the other formats" if len(renewing) > _SHOWN else ""
        overwrite = " --overwrite" if any(one.is_edited for one in documents) else ""
        print_notice(
            f"{self._folder}: documents of {drafts}, with other options or another version of the program: "
            f"{_list_names(one.name for one in documents)}; renew with {' '.join(renewing[:_SHOWN])}{more}{overwrite}, "
            "or remove"
        )

    def _print_later(self, found: Sequence[Sequence[OlderDocument]]) -> None:
        documents = [one for study in found for one in study]
        drafts = _count(found, "an older draft of a study", "older drafts of {} studies")
        example = " ".join(("--revises", shlex.quote(str(self._folder / documents[0].name)), *_options(documents[0])))
        print_notice(
            f"{self._folder}: newest versions that belong to {drafts}, with other options or another version of the "
            f"program: {_list_names(one.name for one in documents)}; write the next version with {example}"
        )


def _count(studies: Sequence[object], one: str, several: str) -> str:
    return one if len(studies) == 1 else several.format(f"{len(studies):,}")


def _list_names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _options(document: OlderDocument) -> list[str]:
    """Return the options of the command line that a document was written with."""
    return [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in document.layout.items()
    ]
