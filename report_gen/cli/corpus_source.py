"""Open the corpus that a command of `report-gen corpus` is called with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from report_gen.cli.options import load_findings, parse_columns
from report_gen.errors import CorpusError
from report_gen.records import FindingSchema
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class CorpusSource:
    """A corpus, and how a command reads it."""

    path: Path
    layout: str | None
    """None: detected from the files."""
    columns: Mapping[str, tuple[str, ...]]
    """As in `read_corpus`."""
    schema: FindingSchema
    """Findings whose labels are read."""
    require_images: bool
    """Whether a missing image is an error."""
    skip_missing: bool
    """Leave out missing images, and studies of which no image is left."""

    @classmethod
    def from_options(
        cls,
        path: Path,
        layout: str | None,
        columns: Sequence[str] | None,
        findings: Path | None,
        *,
        images: bool = False,
        skip_missing: bool = False,
    ) -> CorpusSource:
        """Parse the options that the commands share.

        Args:
            path: File or folder of the corpus.
            layout: Value of --layout.
            columns: Values of --columns.
            findings: Value of --findings.
            images: Whether every image must exist.
            skip_missing: Value of --skip-missing.

        Raises:
            UsageError: The columns or the findings cannot be read.
        """
        return cls(path, layout, parse_columns(columns), load_findings(findings), images, skip_missing)

    @contextmanager
    def open(self, *, store: Path | None = None, check: bool = True) -> Iterator[Dataset]:
        """Read the corpus into a table on disk that has no name.

        The number of images and studies that were left out is printed.

        Args:
            store: Folder for images that the corpus holds embedded; they are kept. Default: a temporary folder.
            check: As in `read_corpus`.

        Raises:
            CorpusError: The corpus cannot be read, or no study is left.
        """
        from report_gen.corpora import read_corpus

        with (
            TemporaryDirectory(prefix="report-gen-") as folder,
            _removed_if_empty(store or Path(folder, "store")) as images,
        ):
            dataset = read_corpus(
                self.path,
                layout=self.layout,
                require_images=True if self.require_images and not self.skip_missing else None,
                check=check,
                store=images,
                schema=self.schema,
                columns=self.columns,
            )
            yield self._without_missing(dataset) if self.skip_missing else dataset

    def _without_missing(self, dataset: Dataset) -> Dataset:
        from report_gen.corpus_qc import leave_out_missing

        kept, images, studies = leave_out_missing(dataset)
        if studies and not len(kept):
            raise CorpusError(
                f"{self.path}: all {images} images are missing, so no study is left; add the files, or correct their "
                "names"
            )
        print_notice(f"left out {images} missing images, and {studies} studies of which no image is left")
        return kept


@contextmanager
def _removed_if_empty(folder: Path) -> Iterator[Path]:
    """Remove the folder at the end of the context if it was created meanwhile and is empty."""
    existed = folder.exists()
    try:
        yield folder
    finally:
        if not existed:
            with suppress(OSError):
                folder.rmdir()
