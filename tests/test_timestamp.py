"""The time of an output."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from report_gen.errors import UsageError
from report_gen.timestamp import creation_time


@pytest.mark.parametrize(
    ("epoch", "time"),
    [
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
        ("253402300799", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_the_time_can_be_set(monkeypatch: pytest.MonkeyPatch, epoch: str, time: datetime) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert creation_time() == time


def test_the_time_is_now_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = datetime.now(UTC)
    assert before <= creation_time() <= datetime.now(UTC)


@pytest.mark.parametrize(
    "epoch", ["", "x", "-1", "1.5", "1e9", " 1", "٣", "253402300800", "31556889864403199", "9" * 5000]
)
def test_another_value_is_refused(monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UsageError, match=r"SOURCE_DATE_EPOCH=.{2,50} is not a time; give whole seconds since 1970"):
        creation_time()
