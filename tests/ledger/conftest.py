from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gridnb.ledger import ChargeLine, HoldOrder, Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Callable[[], datetime]:
    seconds = itertools.count()
    return lambda: NOON + timedelta(seconds=next(seconds))


@pytest.fixture
def ledger(tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[Ledger]:
    with Ledger(tmp_path / "data" / "ledger.db", clock=clock) as opened:
        yield opened
        assert opened.audit() == []


@pytest.fixture
def order() -> Callable[..., HoldOrder]:
    def make(key: str, amount: str, **more: str) -> HoldOrder:
        texts = {"grid": "g", "lease": "l", "worker": "w", "site": "alpha"} | more
        return HoldOrder(key=key, amount=Decimal(amount), **texts)

    return make


@pytest.fixture
def line() -> Callable[..., ChargeLine]:
    def make(key: str, hold: str, amount: str, **more: Any) -> ChargeLine:
        values = {
            "kind": "used",
            "seconds": Decimal(2),
            "grid": "g",
            "lease": "l",
            "worker": "w",
            "site": "alpha",
            "owner": "Alpine Compute",
            "run": "r1",
            "label": "cell 1",
            "start": NOON,
            "end": NOON + timedelta(seconds=2),
            "note": "n",
        }
        return ChargeLine(key=key, hold=hold, amount=Decimal(amount), **(values | more))

    return make
