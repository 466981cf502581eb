"""Measure generation on a GPU: `python -m report_gen_training.benchmarks.gpu_generation`.

Greedy decoding with the embedded chest model, and with `--sizes` also with larger decoders with random weights. The
decoding loop with CUDA graphs alternates with each of these: the same loop without graphs, `generate` of transformers,
and `generate` with a static cache, whose forward pass transformers compiles. The tokens must be equal in float32; the
table shows whether they are. Default drafts of synthetic radiographs are then compared with transformers, from the file
to the sections.

With `--device cpu` the loop has no graphs and nothing is compiled. This tests the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from report_gen.drafting import Drafter
from report_gen.files import check_writable, write_atomically
from report_gen.generation import CachedDecoder, Decoding, RecordedDecoder, find_cached_decoder
from report_gen.model import Checkpoint, ReportModel, load_checkpoint, resolve_device
from report_gen.records import Study
from report_gen.terminal import print_table, run_app, track

from ..bench.generation import (
    RANDOM_DECODING,
    Conditioned,
    condition,
    draft_writer,
    draw_studies,
    random_decoders,
    token_writer,
    unknown_to_report_gen,
)
from ..bench.machine import describe_machine
from ..bench.pairs import Case, time_case
from ..bench.results import timing_row, timing_table

_STUDIES = 8
_BATCHES = (1, 8, 64)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=_BATCHES, help="numbers of texts of a batch")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way")
    parser.add_argument("--sizes", action="store_true", help="measure larger decoders with random weights too")
    parser.add_argument("--json", type=Path, help="file for the times of all rounds")
    options = parser.parse_args(arguments)
    if options.json is not None:
        check_writable(options.json)
    device = resolve_device(options.device)
    with TemporaryDirectory() as folder:
        cases = gpu_cases(draw_studies(Path(folder), _STUDIES), device, options.batches, sizes=options.sizes)
        total = 8 * len(options.batches) + 12 * options.sizes
        shown = track(cases, total=total, description="Measuring")
        timings = [time_case(case, rounds=options.rounds) for case in shown]
    print_table(timing_table(timings, other="other"))
    if options.json is not None:
        used = f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
        document = {"machine": describe_machine(), "device": used, "timings": list(map(timing_row, timings))}
        write_atomically(options.json, json.dumps(document, indent=2) + "\n")


def gpu_cases(studies: Sequence[Study], device: torch.device, batches: Sequence[int], *, sizes: bool) -> Iterator[Case]:
    """Yield the cases. Models are moved to the device when their first case is requested.

    Args:
        studies: Studies to draft; they are repeated to fill a batch.
        device: A CUDA device, or the CPU for a test.
        batches: Numbers of texts.
        sizes: Whether larger decoders with random weights are measured too.
    """
    ours, theirs = load_checkpoint("chest_xray"), _transformers_checkpoint()
    inputs = [condition(ours, [studies[index % len(studies)] for index in range(batch)]) for batch in batches]
    for dtype in (torch.float32, torch.bfloat16):
        model, other = _moved(ours.model, device, dtype), _moved(theirs.model, device, dtype)
        for batch, texts in zip(batches, inputs, strict=True):
            name = f"greedy, {_name(dtype)}, batch {batch}"
            yield from _token_cases(name, model, other, _to(texts, device, dtype), Decoding())
    if sizes:
        for name, model, other, texts in random_decoders():
            moved = _moved(model, device, torch.float32), _moved(other, device, torch.float32)
            yield from _token_cases(
                f"greedy, float32, batch 1, {name}", *moved, _to(texts, device, torch.float32), RANDOM_DECODING
            )
    for dtype in (torch.float32, torch.bfloat16):
        graphs = device.type == "cuda"
        own = Drafter.from_checkpoint(load_checkpoint("chest_xray"), device=device, dtype=dtype, cuda_graphs=graphs)
        other_drafter = Drafter.from_checkpoint(_transformers_checkpoint(), device=device, dtype=dtype)
        for batch in batches:
            chosen = [studies[index % len(studies)] for index in range(batch)]
            yield Case(
                name=f"default draft, {_name(dtype)}, batch {batch}, beside generate",
                units=batch,
                unit="study",
                ours=draft_writer(own, chosen),
                theirs=draft_writer(other_drafter, chosen),
            )


def _token_cases(
    name: str, model: ReportModel, other: ReportModel, texts: Conditioned, decoding: Decoding
) -> Iterator[Case]:
    decoder = find_cached_decoder(model.decoder.language_model)
    ours = token_writer(model, texts, decoding, decoder=_recorded(decoder, texts.visual_tokens.device))
    compiled = copy.deepcopy(other)
    compiled.decoder.language_model.generation_config.cache_implementation = "static"
    ways: dict[str, Callable[[], object]] = {
        "the loop without graphs": token_writer(model, texts, decoding, decoder=decoder),
        "generate": token_writer(other, texts, decoding),
        "compiled generate": token_writer(compiled, texts, decoding),
    }
    for way, work in ways.items():
        yield Case(name=f"{name}, beside {way}", units=len(texts.prompt_ids), unit="text", ours=ours, theirs=work)


def _recorded(decoder: CachedDecoder | None, device: torch.device) -> CachedDecoder | None:
    return RecordedDecoder(decoder) if decoder is not None and device.type == "cuda" else decoder


def _transformers_checkpoint() -> Checkpoint:
    return unknown_to_report_gen(load_checkpoint("chest_xray", with_transformers=True))


def _moved(model: ReportModel, device: torch.device, dtype: torch.dtype) -> ReportModel:
    return copy.deepcopy(model).to(device, dtype).eval()


def _to(texts: Conditioned, device: torch.device, dtype: torch.dtype) -> Conditioned:
    return Conditioned(texts.visual_tokens.to(device, dtype), texts.visual_mask.to(device), texts.prompt_ids)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    run_app(main)
