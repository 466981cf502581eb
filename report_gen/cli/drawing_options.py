"""Options of `report-gen draft` that draw one study, and the check of all options that name output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from report_gen.cli.document_options import check_folder_name
from report_gen.cli.options import check_outputs, check_png_name
from report_gen.errors import UsageError

Attention = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Draw one study: its image, the attention of each finding, and the draft."),
]
ShowPreprocessing = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png", help="Draw the images of one study after each preprocessing step, as the model gets them."
    ),
]


def check_output_options(
    drawings: Mapping[str, Path | None], output: Path | None, formats: Sequence[str], *, resume: bool
) -> None:
    """Check the options that name output before anything is read.

    Raises:
        UsageError: A drawing has no name of a PNG, or --resume is combined with what it cannot serve.
        OutputError: Nothing can be written at a path.
    """
    from report_gen.files import check_writable_folder

    for option, path in drawings.items():
        check_png_name(path, option)
        if path and resume:
            raise UsageError(f"{option} draws one study, and --resume may skip it; leave one of the two options out")
    if resume and output is None:
        raise UsageError("--resume needs the folder of the drafts; name the folder with --output")
    if output is not None:
        check_folder_name(output, formats)
        check_writable_folder(output)
    check_outputs(*drawings.values())


def check_drawings(drawings: Mapping[str, Path | None], studies: int) -> None:
    """Raise UsageError if a drawing of one study is requested and there are several."""
    for option, path in drawings.items():
        if path and studies > 1:
            raise UsageError(f"{option} draws one study, and there are {studies}; draft them one by one")
