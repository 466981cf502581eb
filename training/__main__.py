"""Run `python -m training RECIPE` in a checkout, or `python -m report_gen_training RECIPE` from a wheel."""

import typer

from report_gen.terminal import run_app

from .cli import train

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(train)

if __name__ == "__main__":
    run_app(app)
