"""The command `report-gen synthesize`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from report_gen.errors import UsageError
from report_gen.terminal import Quiet, Verbose, print_notice, print_text, set_verbosity, stop_on_signals

if TYPE_CHECKING:
    from report_gen.records import FindingSchema

    from .generator import ImageGenerator
    from .training_images import TrainingImages


DEFAULTS = (
    "size=64, channels=32,64,128, steps=10000, batch_size=64, learning_rate=0.0004, ema_decay=0.999, "
    "label_dropout=0.15, precision=auto, save_every=250, seed=0"
)
"""Settings of `GeneratorRecipe` as `--set` takes them. Written down, because --help does not load pydantic."""


def synthesize(
    corpora: Annotated[list[Path], typer.Argument(metavar="CORPUS...", help="Corpora with labels of findings.")],
    finding: Annotated[
        str, typer.Option(metavar="NAME", help="Finding of the images. Default: only train the generator.")
    ] = "",
    count: Annotated[int, typer.Option("-n", min=1, max=1_000_000, help="Number of images.")] = 100,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder for the images. Default: synthetic-NAME.")
    ] = None,
    generator: Annotated[
        Path, typer.Option(help="Folder of the generator, which is trained if there is none; --resume continues.")
    ] = Path("generator"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training of the generator.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the training, such as steps=20000. May be repeated. Keys and defaults: "
            f"{DEFAULTS}.",
        ),
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the corpora. Default: auto-detect.")] = None,
    findings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Finding schema of the labels. Default: chest radiographs.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the images.")] = 0,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Draw synthetic training images with a scarce finding.

    A diffusion model learns from the training patients of the corpora, which takes hours on a CPU. The images are
    marked as synthetic. They are never used for validation, test or drafts.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    from report_gen.labeling import chest_xray, load_schema

    schema = chest_xray() if findings is None else load_schema(findings)
    name = _finding_name(finding, schema) if finding else ""
    folder = output or Path(f"synthetic-{name.lower().replace(' ', '-')}")
    if output and not name:
        raise UsageError("--output needs --finding; add it")
    if name and folder.exists():
        raise UsageError(f"{folder}: exists already; give another --output")
    model, images = _prepare(corpora, schema, generator, settings or [], layout, finding=name, resume=resume)
    if name:
        _draw(model, images, name, count, folder, seed)


def _finding_name(text: str, schema: FindingSchema) -> str:
    for name in schema.findings:
        if name.lower() == text.strip().lower():
            return name
    raise UsageError(f"--finding {text}: no such finding; use one of {', '.join(schema.findings)}")


def _prepare(
    corpora: Sequence[Path],
    schema: FindingSchema,
    folder: Path,
    settings: Sequence[str],
    layout: str | None,
    *,
    finding: str,
    resume: bool,
) -> tuple[ImageGenerator, TrainingImages]:
    """Read the training images, and load or train the generator.

    Raises:
        UsageError: The generator does not fit the settings, findings or images.
        CorpusError: No training image has the finding. The training takes hours and would be of no use.
    """
    from report_gen.terminal import bars

    from .drawing import images_with
    from .generator import is_generator, load_generator
    from .recipe import generator_recipe
    from .training import is_unfinished, train_generator
    from .training_images import read_training_images

    recipe, model, digest = generator_recipe(settings), None, ""
    if is_generator(folder):
        model, digest = load_generator(folder)
        if settings and recipe != model.recipe:
            raise UsageError(f"{folder}: is a generator with other settings; omit --set, or give another --generator")
        if model.findings != schema.findings:
            raise UsageError(
                f"{folder}: is a generator for other findings; give its --findings, or another --generator"
            )
        recipe = model.recipe
        if resume:
            print_notice(f"{folder}: the training of this generator is complete, so --resume continues nothing")
    elif is_unfinished(folder) and not resume:
        raise UsageError(f"{folder}: contains an unfinished training; add --resume, or give another --generator")
    with stop_on_signals("decoded images are kept; --resume continues"), bars() as progress:
        images = read_training_images(
            corpora, schema, size=recipe.size, cache=folder / "cache", layout=layout, on_progress=progress.show
        )
        if finding:
            images_with(finding, images, schema.findings)
        if model is None:
            model = train_generator(
                images,
                recipe,
                folder,
                schema.findings,
                on_step=lambda step, loss: progress.show("generator", step, recipe.steps, f"loss {loss:.4f}"),
            )
            print_text(f"generator: {folder}")
        elif digest != images.sha256:
            # Copies of training images are only found among the images that the generator was trained on.
            raise UsageError(f"{folder}: was trained on other images; give the same corpora, or another --generator")
    return model, images


def _draw(model: ImageGenerator, images: TrainingImages, finding: str, count: int, folder: Path, seed: int) -> None:
    from report_gen.terminal import bars

    from .corpus import write_corpus
    from .drawing import draw_images

    with bars() as progress:
        synthetic = draw_images(model, images, finding, count, seed=seed, on_progress=progress.show)
    write_corpus(folder, synthetic, images, model.findings)
    if synthetic.is_unlike_training:
        print_notice(
            "the images differ too much from the training images, because the generator was not trained enough; "
            "use more --set steps=... with another --generator"
        )
    state = ", of a generator that was not trained enough" if synthetic.is_unlike_training else ""
    print_text(
        f"{count} synthetic images{state}: {folder} ({synthetic.copies} discarded as copies of training images); "
        f"look at {folder / 'contact_sheet.png'} before you train with them"
    )
