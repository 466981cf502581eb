"""Planes of slices against the orientations of PS3.3 C.7.6.2.1.1."""

import pytest

from report_gen.records import SlicePlane


def plane(row, column, position=(0.0, 0.0, 0.0)):
    return SlicePlane(position=position, row_direction=row, column_direction=column, spacing=(1.0, 1.0))


@pytest.mark.parametrize(
    ("row", "column", "normal"),
    [
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),  # axial: to the head
        ((1, 0, 0), (0, 0, -1), (0, 1, 0)),  # coronal: to the back
        ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),  # sagittal: to the right
    ],
)
def test_normal_is_row_times_column(row, column, normal):
    assert plane(row, column).normal == normal


def test_location_is_the_distance_along_the_normal_of_an_oblique_slice():
    oblique = plane((1, 0, 0), (0, 0.6, -0.8), position=(5.0, 8.0, 6.0))
    assert oblique.normal == pytest.approx((0, 0.8, 0.6))
    assert oblique.location_along(oblique.normal) == pytest.approx(10.0)
