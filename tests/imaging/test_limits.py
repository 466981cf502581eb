"""The limit on the number of pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.errors import StudyError
from report_gen.imaging.limits import MAX_PIXELS, check_pixel_count


def test_the_limit_itself_is_accepted() -> None:
    check_pixel_count(8192, MAX_PIXELS // 8192, Path("a.png"))
    with pytest.raises(StudyError, match=rf"a\.png: 8192 x 8193 pixels exceed the limit of {MAX_PIXELS}"):
        check_pixel_count(8192, MAX_PIXELS // 8192 + 1, Path("a.png"))
