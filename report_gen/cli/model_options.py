"""The options about the model of a draft, which several commands share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from report_gen.arguments import DtypeName
from report_gen.errors import UsageError

if TYPE_CHECKING:
    from report_gen.drafting import Drafter
    from report_gen.generation import DecodingChoice

EMBEDDED = "embedded"
"""Name of the checkpoint in the package, for `evaluate`."""

Base = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Base of a checkpoint that is an adapter: a folder, a GGUF file, an installed package, or a hub name in "
        "the local cache. Default: the package that the checkpoint names.",
    ),
]
Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Device of the model; auto takes a GPU if there is one."),
]
Dtype = Annotated[
    DtypeName,
    typer.Option(
        help="Data type of the model. bfloat16 is slow on a CPU without instructions for it. int8 (CPU only): 8-bit "
        "weights in the decoder. auto: what `bench --tune` found, or float32 on a CPU."
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Checkpoint folder, name of an embedded model, description of another model (a TOML file, or the name of "
        "one in the package), or `hf:NAME` for a model of the Hugging Face hub. Default: of the embedded models the "
        "first one that was made for the study (chest_xray: chest radiographs; ct_mr_slices: CT and MR slices, a "
        "demonstration).",
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote",
        help="Send images and prompt to the endpoint also if it is on another computer. Every draft says so.",
    ),
]
Method = Annotated[
    Literal["greedy", "beam", "sample"] | None,
    typer.Option(help="Decoding method. Default: that of the model; beam for checkpoints of report-gen."),
]
Candidates = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Candidate texts per study; the one most consistent with the findings, or with the other candidates, is "
        "kept. Default: that of the model; 8 for checkpoints of report-gen.",
    ),
]


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_ALWAYS_AVAILABLE = ("auto", "cpu")


def load_drafter(
    name: str | None,
    *,
    base: str | None = None,
    device: str,
    dtype: DtypeName,
    allow_remote: bool = False,
) -> Drafter:
    """Load a model onto a device.

    Args:
        name: Name of the model, see `find_source`; None for the embedded checkpoint.
        base: Base of a checkpoint that is an adapter; None for the installed package that the checkpoint names.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `auto`, `float32`, `bfloat16` or `int8`; see `apply_tuning`.
        allow_remote: Whether images may be sent to another computer.

    Raises:
        UsageError: The device is unknown, or this computer does not have it, or `base` is given for no adapter.
        CheckpointError: The checkpoint is missing, altered or does not fit, or the base of an adapter is not found.
    """
    check_device(device)
    from report_gen.drafting import Drafter, find_source

    source = find_source(name)
    return Drafter(source.load(base=base, device=device, dtype=dtype, allow_remote=allow_remote, tuned=True))


def choose_decoding(
    method: Literal["greedy", "beam", "sample"] | None, candidates: int | None, seed: int
) -> DecodingChoice:
    """Return the options of the decoding that a user chose."""
    from report_gen.generation import DecodingChoice

    return DecodingChoice(method=method, candidates=candidates, seed=seed)


def check_device(device: str) -> None:
    """Raise UsageError if `device` is not the name of a device, or this computer has no such device."""
    if not _DEVICE.fullmatch(device):
        raise UsageError(f"--device {device!r}: choose auto, cpu, cuda, cuda:N (N counts from 0) or mps")
    if device not in _ALWAYS_AVAILABLE:
        from report_gen.model import resolve_device  # imports torch, which takes seconds

        resolve_device(device)
