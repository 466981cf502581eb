"""Divide studies into shards, for example one for each job of an array."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from report_gen.errors import StudyError
from report_gen.records import Study

_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Shard:
    """One of several parts of the studies. A study is in the same part whatever other studies there are."""

    index: int
    """Number of the part, from 0."""
    count: int
    """Number of parts."""

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def contains(self, identity: str) -> bool:
        """Return whether a study with this identity belongs to the shard."""
        digest = hashlib.sha256(identity.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:_DIGEST_BYTES]) % self.count == self.index

    def contains_study(self, study: Study) -> bool:
        """Return whether a study belongs to the shard."""
        return self.contains(study_identity(study))

    def contains_error(self, error: StudyError, folder: Path | None) -> bool:
        """Return whether a file or folder that cannot be read belongs to the shard, by its path below a folder."""
        path = error.path
        return self.contains(str(path.relative_to(folder)) if folder and path.is_relative_to(folder) else path.name)


def study_identity(study: Study) -> str:
    """Return what identifies a study wherever its files lie: its Study Instance UID, else the digests of its images."""
    return study.study_instance_uid or " ".join(sorted({image.sha256 for image in study.images}))
