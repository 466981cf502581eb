"""Shapes of the organs in a schematic chest radiograph.

Each function returns the thickness of one organ along the beam at each pixel, from 0 to about 1. The numbers are
fractions of the width or height of the image, chosen by comparison with posteroanterior radiographs of adults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

Plane = NDArray[Any]
"""Array [H,W], [1,W] or [H,1], floating point."""
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Grid:
    """Pixel coordinates: `x` [1,W] from -1, the patient's right, to 1; `y` [H,1] from 0, the neck, to 1."""

    x: Plane
    y: Plane

    @property
    def out(self) -> Plane:
        """Distance from the midline [1,W]."""
        return np.abs(self.x)


def edge(depth: Plane, softness: float) -> Plane:
    """Return 1 inside a shape and 0 outside, with a border of width `softness`. `depth` is the distance inside."""
    return np.asarray(0.5 + 0.5 * np.tanh(depth / (2 * softness)), dtype=np.float32)


def _ellipse(grid: Grid, center: tuple[float, float], radii: tuple[float, float], softness: float) -> Plane:
    reach = np.hypot((grid.x - center[0]) / radii[0], (grid.y - center[1]) / radii[1])
    return edge((1 - reach) * min(radii), softness)


def body(grid: Grid) -> Plane:
    """Return neck, shoulders and trunk; the trunk is narrower below and thicker toward the midline."""
    outline = 0.2 + 0.86 / (1 + np.exp(-(grid.y - 0.115) / 0.026)) - 0.13 * edge(grid.y - 0.5, 0.06)
    thickness = np.sqrt(np.clip(1 - (grid.out / 1.15) ** 2, 0, 1))
    return edge(outline - grid.out, 0.01) * (0.6 + 0.4 * thickness)


def _chest_wall(y: Plane) -> Plane:
    """Return the distance of the inner chest wall from the midline [H,1]."""
    above = np.clip(0.78 - y, 0, 1) / 0.685
    return np.asarray(0.27 + 0.5 * np.sqrt(np.clip(1 - above**2.2, 0, 1)), dtype=np.float32)


def diaphragm(grid: Grid) -> Plane:
    """Return the height of the domes [1,W]. The right dome is higher; both descend to the costophrenic angle."""
    top = np.where(grid.x < 0, 0.73, 0.758)
    lateral, medial = np.clip(grid.out - 0.36, 0, 1) / 0.4, np.clip(0.36 - grid.out, 0, 1) / 0.36
    return np.asarray(top + 0.125 * lateral**2.4 + 0.035 * medial**2, dtype=np.float32)


def lungs(grid: Grid) -> Plane:
    """Return both lungs, from the apices above the clavicles to the costophrenic angles."""
    medial = 0.1 + 0.16 * np.exp(-np.clip(grid.y - 0.095, 0, 1) / 0.045)
    wall = _chest_wall(grid.y)
    inside = edge(grid.out - medial, 0.012) * edge(wall - grid.out, 0.008) * edge(diaphragm(grid) - grid.y, 0.004)
    across = (grid.out - (medial + wall) / 2) / np.clip((wall - medial) / 2, 0.05, None)
    return inside * edge(grid.y - 0.1, 0.006) * np.clip(1 - across**2, 0, 1) ** 0.3 * (0.84 + 0.2 * grid.y)


def heart(grid: Grid, size: float) -> Plane:
    """Return the left ventricle with its apex on the diaphragm, and the right atrium beside the spine."""
    tilt = 0.66
    x, y = (grid.x - 0.1 * size) / 2, grid.y - 0.645
    along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    ventricle = edge((1 - np.hypot(along / (0.185 * size), across / (0.11 * size**0.5))) * 0.11, 0.004)
    atrium = _ellipse(grid, (-0.07 * size, 0.64), (0.13 * size, 0.125), 0.006)
    return np.maximum(ventricle, atrium)


def mediastinum(grid: Grid) -> Plane:
    """Return the vessels above the heart, the aortic knob on the left, and both hila."""
    column = edge(0.105 + 0.05 * grid.y + 0.012 * np.sin(14 * grid.y) - grid.out, 0.014)
    knob = _ellipse(grid, (0.1, 0.335), (0.085, 0.048), 0.005)
    pulmonary = _ellipse(grid, (0.11, 0.425), (0.085, 0.05), 0.012)
    hila = _ellipse(grid, (-0.18, 0.49), (0.06, 0.07), 0.03) + _ellipse(grid, (0.19, 0.465), (0.06, 0.06), 0.03)
    return np.maximum(np.maximum(column, knob), np.maximum(pulmonary, 0.4 * hila))


def vessels(grid: Grid, random: np.random.Generator) -> Plane:
    """Return vessels that leave the hila and become thinner toward the pleura."""
    branches = np.zeros((grid.y.size, grid.x.size), dtype=np.float32)
    for root_x, root_y in ((-0.17, 0.49), (0.18, 0.465)):
        across, down = (grid.x - root_x) * np.float32(np.sign(root_x) / 2), grid.y - root_y
        for angle in np.linspace(-1.3, 1.35, 15, dtype=np.float32) + random.normal(0, 0.09, 15).astype(np.float32):
            reach = across * np.cos(angle) + down * np.sin(angle)
            phase, length, curl = random.uniform((0, 0.16, -0.5), (6, 0.36, 0.5))
            away = down * np.cos(angle) - across * np.sin(angle) - 0.006 * np.sin(30 * reach + phase) - curl * reach**2
            width = np.clip(0.008 * (1 - reach / length), 0.0015, None)
            branches += np.exp(-((away / width) ** 2) - np.clip(reach, 0, 1) / 0.15) * edge(reach - 0.01, 0.01)
    return branches.clip(0, 1.5)


def mottle(random: np.random.Generator, shape: tuple[int, int]) -> Plane:
    """Return smooth noise of two sizes: the sum of vessels and septa too small to be resolved."""
    clouds = (PIL.Image.fromarray(random.normal(size=(n, n)).astype(np.float32)) for n in (40, 90))
    rows, columns = shape
    smooth = [np.asarray(cloud.resize((columns, rows), PIL.Image.Resampling.BICUBIC)) for cloud in clouds]
    return np.asarray(np.mean(smooth, axis=0))


def bones(grid: Grid) -> Plane:
    """Return spine, ribs, clavicles and scapulae."""
    vertebrae = 0.8 + 0.2 * np.tanh(6 * np.cos(2 * np.pi * grid.y / 0.06))
    spine = 0.055 * edge(0.06 - grid.out, 0.006) * vertebrae
    return np.asarray(spine + sum(_ribs(grid)) + 0.12 * _clavicles(grid) + 0.045 * _scapulae(grid))


def _band(grid: Grid, course: Plane, half_width: float) -> Plane:
    """Return a flat bone with dense cortex at both edges. `course` [1,W] is the height of its center line."""
    steepness = np.hypot(1, 0.5 * np.gradient(course, axis=1) / np.gradient(grid.x, axis=1))
    away = np.abs(grid.y - course) / steepness
    cortex = np.clip(away / half_width, 0, 1) ** 4
    return np.asarray(edge(half_width - away, 0.0018) * (0.55 + 0.45 * cortex))


def _ribs(grid: Grid) -> Iterator[Plane]:
    """Yield ten pairs of ribs. Posterior arcs descend from the spine outward, anterior arcs inward to the cartilage."""
    within = edge(_chest_wall(grid.y) + 0.012 - grid.out, 0.006)
    for number in range(10):
        height = 0.13 + 0.067 * number
        reach = min(0.52 + 0.09 * number, 0.78)
        outward = grid.out / np.float32(reach)
        posterior = height + (0.06 + 0.008 * number) * (1.7 * outward**2 - 0.62 * outward)
        yield 0.085 * _band(grid, posterior, 0.0125) * within * edge(grid.out - 0.06, 0.012)
        if 0 < number < 8:
            anterior = height + 0.24 - 0.17 * (grid.out / np.float32(0.76)) ** 1.8
            yield 0.06 * _band(grid, anterior, 0.0135) * within * edge(grid.out - 0.34, 0.04)


def _clavicles(grid: Grid) -> Plane:
    course = 0.182 - 0.085 * np.clip(grid.out - 0.08, 0, 1) + 0.014 * np.sin(grid.out * 9)
    return _band(grid, course, 0.0145) * edge(grid.out - 0.08, 0.01) * edge(0.78 - grid.out, 0.02)


def _scapulae(grid: Grid) -> Plane:
    medial, lateral = 0.62 + 0.25 * (grid.y - 0.2), 0.98 - 0.75 * (grid.y - 0.16)
    return edge(grid.out - medial, 0.006) * edge(lateral - grid.out, 0.008) * edge(grid.y - 0.165, 0.008)


def trachea(grid: Grid) -> Plane:
    """Return trachea and main bronchi."""
    windpipe = edge(0.034 - np.abs(grid.x + 0.008), 0.006) * edge(0.41 - grid.y, 0.012)
    bronchi = edge(0.013 - np.abs(grid.y - 0.41 - 0.35 * grid.out), 0.004) * edge(0.14 - grid.out, 0.02)
    return np.asarray(np.maximum(windpipe, 0.7 * bronchi))


def gastric_bubble(grid: Grid) -> Plane:
    """Return the air under the left dome, above a fluid level."""
    bubble = _ellipse(grid, (0.35, 0.845), (0.15, 0.06), 0.004)
    return bubble * edge(grid.y - diaphragm(grid) - 0.022, 0.003) * edge(0.85 - grid.y, 0.002)


def effusion(grid: Grid, side: Side) -> Plane:
    """Return pleural fluid on one side, with a meniscus that rises along the chest wall."""
    outward = grid.x if side == "left" else -grid.x
    meniscus = 0.72 - 0.2 * np.clip((outward - 0.3) / 0.45, 0, 1) ** 2
    return edge(grid.y - meniscus, 0.012) * edge(outward, 0.01)
