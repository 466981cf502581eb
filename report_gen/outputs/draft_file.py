"""Name the file of a draft, and compute the digests of what determines the draft."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from report_gen.files import file_name
from report_gen.outputs.document import LAYOUT_OPTIONS
from report_gen.records import Study

_DIGITS = 12
"""Digits of the digest of the images in a file name."""


@dataclass(frozen=True, kw_only=True)
class DraftFile:
    """A document of a draft that was requested, and the file that it is written to."""

    study: Study
    stem: str
    """File name without its suffix. All documents of a study that are requested together have the same stem."""
    suffix: str
    """Suffix with its dot."""
    reserved: str
    """Longest suffix of the documents that have the stem, for which a file name has to have room."""
    images: str
    """SHA-256 of the digests of the images, in their order."""
    request: str
    """SHA-256 of everything that determines the document, except the name."""
    layout: tuple[tuple[str, str | bool], ...] = ()
    """Options that the document is written with, see `LAYOUT_OPTIONS`; they are part of `request`."""

    @property
    def name(self) -> str:
        """File name with its suffix."""
        return self.stem + self.suffix

    @classmethod
    def of_study(
        cls, study: Study, suffix: str, *, folder: Path, settings: Mapping[str, Any], reserved: str = ""
    ) -> DraftFile:
        """Return the file with the name of a study.

        Args:
            study: The study. The content of its files determines everything that the headers say.
            suffix: Suffix of the file, with the dot.
            folder: Folder of the file.
            settings: Values that JSON can write: format, options, program version and checkpoint.
            reserved: Longest suffix of the documents of the study. Default: `suffix`.
        """
        digests = [image.sha256 for image in study.images]
        views = [image.view_position for image in study.images]
        request = {"images": digests, "views": views, "settings": settings}
        return cls(
            study=study,
            stem=file_name(study.name, suffix=reserved or suffix, folder=folder),
            suffix=suffix,
            reserved=reserved or suffix,
            images=digest(json.dumps(digests)),
            request=digest(json.dumps(request, sort_keys=True, allow_nan=False)),
            layout=tuple((name, settings[name]) for name in LAYOUT_OPTIONS if name in settings),
        )

    def with_digits(self, folder: Path) -> DraftFile:
        """Return the file with digits of the images in its name, so that no other study has it."""
        stem = file_name(f"{self.study.name}-{self.images[:_DIGITS]}", suffix=self.reserved, folder=folder)
        return replace(self, stem=stem)

    def with_version(self, number: int, folder: Path) -> DraftFile:
        """Return the file with the number of a version in its name."""
        return replace(self, stem=file_name(f"{self.stem}-v{number}", suffix=self.suffix, folder=folder))


def digest(text: str) -> str:
    """Return the SHA-256 of a text, which may contain undecodable bytes of a file name (PEP 383)."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()
