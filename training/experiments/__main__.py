"""Train and evaluate the runs of an experiment: `python -m report_gen_training.experiments conditioning --seeds 0 1 2`.

Every run of the question is trained with every seed and evaluated without Java. OUTPUT/NAME gets results.md,
results.json and results.png: means and ranges over the seeds, beside the baselines. The first two are updated after
every run. Finished work is not repeated, so the same command continues after an interruption.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from report_gen.errors import UsageError
from report_gen.files import write_atomically
from report_gen.terminal import run_app

from .plots import draw_results
from .question import load_question
from .results import Results, gather, render_markdown, results_to_json
from .trials import plan_trials, run_trial


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    if len(set(options.seeds)) < len(options.seeds) or min(options.seeds) < 0:
        raise UsageError("--seeds: give different whole numbers from 0 on")
    questions = {Path(name).stem: load_question(name) for name in options.names}
    trials = {  # plan all questions first, so that a mistake in the last one is reported now
        name: plan_trials(question, options.seeds, options.output / name, options.settings)
        for name, question in questions.items()
    }
    for name, question in questions.items():
        evaluated = []
        for trial in trials[name]:
            evaluated.append((trial, run_trial(trial)))
            results = gather(question, evaluated)
            _write(results, options.output / name)
        write_atomically(options.output / name / "results.png", draw_results(results))
        Console().print(render_markdown(results), soft_wrap=True, highlight=False, markup=False)


def _write(results: Results, folder: Path) -> None:
    write_atomically(folder / "results.md", render_markdown(results))
    write_atomically(folder / "results.json", results_to_json(results))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="an experiment of the package, or a TOML file")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="random seeds of the recipes")
    parser.add_argument("--output", type=Path, default=Path("experiments"), help="folder for all runs and results")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the base recipe, such as data=FOLDER; may be repeated",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
