"""Measure speculative decoding: `python -m report_gen_training.benchmarks.proposals FOLDER/iu_xray IMAGE...`.

First, the embedded chest model generates the texts of the images with greedy decoding. Proposals for these texts come
from the reports of the corpus, which the model was trained on, and from the texts themselves. The first table shows how
many tokens a forward pass generates and reads, and how many proposals are right.

Then the embedded model is timed with proposals from the prompt and the text alone, as in a draft, and without. Decoders
with the proposals of a table are timed in turns: with proposals, without proposals, and in transformers. The texts of
decoders with random weights resemble no report. Their proposals are therefore made right and wrong as often as those of
the embedded model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import torch
from rich.table import Table

from report_gen.corpora import read_corpus
from report_gen.generation import Decoding, Proposer, find_cached_decoder, generate_tokens
from report_gen.imaging import read_study
from report_gen.model import Checkpoint, Continuations, ReportModel, load_checkpoint
from report_gen.terminal import print_table, run_app, track
from report_gen.tokenizer import BOS_ID, EOS_ID

from ..bench.generation import (
    RANDOM_DECODING,
    Conditioned,
    NoProposals,
    condition,
    random_decoders,
    unknown_to_report_gen,
)
from ..bench.pairs import Case, time_case
from ..bench.results import timing_table
from ..data import count_continuations

_BATCH = 8
_MIN_PATIENTS = 5

Pass = tuple[int, int]
"""Number of proposals of a forward pass, and how many of them are right before the first wrong one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder of the Indiana University reports")
    parser.add_argument("images", type=Path, nargs="+", help="chest radiographs")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    checkpoint = load_checkpoint("chest_xray")
    continuations = count_reports(checkpoint, options.corpus)
    texts = write_texts(checkpoint, options.images)
    known, own = Proposer([[]], continuations), Proposer([[]])
    passes = [one for text in texts for one in replay(text, known)]
    alone = [one for text in texts for one in replay(text, own)]
    print_table(_passes_table({f"{len(continuations)} continuations and the text": passes, "the text alone": alone}))
    cases = list(decoder_cases(checkpoint, options.images, passes))
    shown = track(cases, total=len(cases), description="Measuring")
    print_table(timing_table([time_case(case, rounds=options.rounds, clock="cpu") for case in shown], other="other"))


def count_reports(checkpoint: Checkpoint, corpus: Path) -> Continuations:
    """Return the n-grams of the reports of the corpus."""
    rows = ((row["patient_id"] or row["study_id"], row) for row in read_corpus(corpus, layout="indiana"))
    texts = ((patient, f"FINDINGS: {row['findings']} IMPRESSION: {row['impression']}") for patient, row in rows)
    reports = ((patient, [BOS_ID, *checkpoint.tokenizer.encode(text), EOS_ID]) for patient, text in texts)
    return count_continuations(reports, min_patients=_MIN_PATIENTS)


def write_texts(checkpoint: Checkpoint, images: Sequence[Path]) -> list[tuple[int, ...]]:
    """Return the token ids of the generated texts, one per image, with greedy decoding."""
    written = []
    for start in track(range(0, len(images), _BATCH), total=-(-len(images) // _BATCH), description="Writing texts"):
        texts = condition(checkpoint, [read_study(image) for image in images[start : start + _BATCH]])
        written += generate_tokens(checkpoint.model, **texts._asdict(), decoding=Decoding())
    return [text.token_ids for text in written]


def replay(text: Sequence[int], proposer: Proposer) -> Iterator[Pass]:
    """Yield the forward passes that would generate a text and its end token with proposals, without the first pass."""
    tokens, done = [*text, EOS_ID], 1
    while done < len(tokens):
        proposed = proposer.propose(0, tokens[:done], most=len(tokens))
        right = 0
        while right < len(proposed) and tokens[done + right : done + right + 1] == [proposed[right]]:
            right += 1
        yield len(proposed), right
        done += right + 1


class ScriptedProposer(Proposer):
    """Proposes the next tokens of a known text, with as many wrong ones as in other forward passes.

    Args:
        text: Token ids of the text that will be generated.
        passes: The forward passes to imitate, repeated from the first one if the text needs more.
    """

    def __init__(self, text: Sequence[int], passes: Sequence[Pass]) -> None:
        super().__init__([[]])
        self._text = text
        self._passes = cycle(passes)

    def propose(self, study: int, tokens: Sequence[int], *, most: int) -> list[int]:
        """Return the proposals of the next pass."""
        count, right = next(self._passes)
        following = self._text[len(tokens) : len(tokens) + min(count, most)]
        return [token if place < right else token + 1 for place, token in enumerate(following)]


def decoder_cases(checkpoint: Checkpoint, images: Sequence[Path], passes: Sequence[Pass]) -> Iterator[Case]:
    """Yield the cases of each decoder: generation with proposals, compared with that without and with transformers.

    The first case is the embedded model with proposals from the prompt and the text alone, as it is used in drafts.
    """
    inputs = [condition(checkpoint, [read_study(image)]) for image in images]
    yield Case(
        name="embedded, 4.5 million, proposals from the text alone, beside without proposals",
        units=len(inputs),
        unit="text",
        ours=partial(_write_each, checkpoint.model, inputs, lambda texts: Proposer(texts.prompt_ids)),
        theirs=partial(_write_each, checkpoint.model, inputs, lambda _: NoProposals()),
    )
    texts = inputs[0]
    theirs = unknown_to_report_gen(load_checkpoint("chest_xray", with_transformers=True)).model
    yield from _cases("embedded, 4.5 million", checkpoint.model, theirs, texts, Decoding(), passes)
    for name, model, other, random_texts in random_decoders():
        yield from _cases(name, model, other, random_texts, RANDOM_DECODING, passes)


def _write_each(
    model: ReportModel, inputs: Sequence[Conditioned], make: Callable[[Conditioned], Proposer]
) -> list[tuple[int, ...]]:
    """Return the token ids of texts that are generated one by one."""
    decoder = find_cached_decoder(model.decoder.language_model)
    written = []
    for texts in inputs:
        written += generate_tokens(model, **texts._asdict(), decoding=Decoding(), proposer=make(texts), decoder=decoder)
    return [text.token_ids for text in written]


def _cases(
    name: str,
    model: ReportModel,
    other: ReportModel,
    texts: Conditioned,
    decoding: Decoding,
    passes: Sequence[Pass],
) -> Iterator[Case]:
    def write(model: ReportModel, make: Callable[[], Proposer]) -> Callable[[], tuple[int, ...]]:
        decoder = find_cached_decoder(model.decoder.language_model)

        def generate() -> tuple[int, ...]:
            (text,) = generate_tokens(model, **texts._asdict(), decoding=decoding, proposer=make(), decoder=decoder)
            return text.token_ids

        return generate

    without = write(model, NoProposals)
    with_proposals = write(model, partial(ScriptedProposer, without(), passes))
    ways = {"without proposals": without, "transformers": write(other, NoProposals)}
    for way, work in ways.items():
        yield Case(name=f"{name}, beside {way}", units=1, unit="text", ours=with_proposals, theirs=work)


def _passes_table(passes: Mapping[str, Sequence[Pass]]) -> Table:
    table = Table("proposals come from", title="Forward passes of one text each")
    for heading in ("tokens per pass", "tokens that a pass reads", "proposals that are right"):
        table.add_column(heading, justify="right")
    for source, pairs in passes.items():
        proposed, right = (sum(counts) for counts in zip(*pairs, strict=True))
        share = f"{right / proposed:.0%}" if proposed else ""
        table.add_row(source, f"{1 + right / len(pairs):.2f}", f"{1 + proposed / len(pairs):.2f}", share)
    return table


if __name__ == "__main__":
    run_app(main)
