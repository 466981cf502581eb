"""`report-gen demo`: draft the report of a chest that is drawn by code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from report_gen.cli.model_options import Device, Dtype, check_device, load_drafter
from report_gen.terminal import Quiet, Verbose, print_text, set_verbosity


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the phantom and its draft.")] = Path(
        "report-gen-demo"
    ),
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Draft the report of a drawn chest. The drawing is written as a DICOM study, so no input is needed."""
    set_verbosity(verbose=verbose, quiet=quiet)
    check_device(device)
    from report_gen.files import write_atomically
    from report_gen.imaging import read_study
    from report_gen.outputs import format_text
    from report_gen.phantom import draw_chest, write_phantom, write_png

    dicom = write_phantom(output)
    image = write_png(output / "phantom.png", draw_chest())
    report = load_drafter(None, device=device, dtype=dtype).draft(read_study(dicom))
    text = format_text(report)
    write_atomically(output / "draft.txt", text)
    print_text(f"image: {image}\nstudy: {dicom}\ndraft: {output / 'draft.txt'}\n\n{text}")
