"""Assemble the command line from its commands and those of installed packages."""

from __future__ import annotations

from typing import Annotated

import typer

from report_gen.cli import corpus
from report_gen.cli.demo import demo
from report_gen.cli.draft import draft
from report_gen.cli.evaluate import evaluate
from report_gen.cli.offline import ONLINE_COMMANDS, work_offline
from report_gen.cli.plugins import Plugins
from report_gen.cli.score import score
from report_gen.cli.send import send
from report_gen.cli.series import series
from report_gen.terminal import print_text, run_app

_COMMANDS = (draft, series, send, demo, score, evaluate)


def main() -> None:
    """Run the command of `sys.argv`."""
    run_app(build_app(), name="report-gen", may_be_empty=("--indication",))


def build_app() -> typer.Typer:
    """Build the Typer application with all commands."""
    plugins = Plugins([*(command.__name__ for command in _COMMANDS), "corpus"])
    app = typer.Typer(
        help="Draft radiology reports from medical images. Every output is a draft for a qualified reader.",
        epilog="Shell completion: run `report-gen --install-completion` once, then open a new shell.",
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help needs no rich, which takes 40% of the time of --help
        pretty_exceptions_enable=False,
        context_settings={"obj": plugins},
    )
    app.callback()(_common_options)
    for command in _COMMANDS:
        app.command()(command)
    app.add_typer(corpus.app, name="corpus")
    plugins.add_to(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from report_gen import __version__

        print_text(f"report-gen {__version__}")
        raise typer.Exit


def _common_options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options before a command. Typer shows the help of the application, not this text."""
    plugins: Plugins = context.obj
    plugins.print_problems(called=context.invoked_subcommand)
    if context.invoked_subcommand not in ONLINE_COMMANDS:
        work_offline()
