"""Draw the images of a study after every step of their preprocessing."""

from __future__ import annotations

from collections.abc import Sequence

from report_gen.records import Box, PreprocessedImage
from report_gen.rendering.figures import Panel, draw_preprocessing

_CAPTION = "Dashed: on the image the part that the model gets, on the model input the pixels that show it."


def format_preprocessing(images: Sequence[PreprocessedImage]) -> bytes:
    """Draw the images of a study as they were loaded, after each step, and as the model gets them, as a PNG file.

    The PNG shows the patient's images, so it must be protected like the study.

    Args:
        images: The images that the model gets, at least one.
    """
    return draw_preprocessing([_panels(image) for image in images], caption=_CAPTION)


def _panels(image: PreprocessedImage) -> list[Panel]:
    """Return the panels of an image: as it was loaded, after each step, and in the square."""
    (_, loaded), *steps = image.stages
    return [
        Panel(title=f"image\n{_size(loaded.shape)}", image=loaded, outline=image.part),
        *(
            Panel(title=f"{number}. {name}\n{_size(pixels.shape)}", image=pixels, outline=Box(0, 0, *pixels.shape))
            for number, (name, pixels) in enumerate(steps, start=1)
        ),
        Panel(
            title=f"model input\n{_size(image.square.shape)}, scale {image.target.rows / image.part.rows:.3g}",
            image=image.square,
            outline=image.target,
        ),
    ]


def _size(shape: Sequence[int]) -> str:
    rows, columns = shape
    return f"{rows} rows, {columns} columns"
