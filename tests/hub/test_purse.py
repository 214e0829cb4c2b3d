"""Holds are drawn oldest first, and each is given back once."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gridnb.hub.purse import Purse

_amounts = st.decimals("0", "5", places=2)


@given(holds=st.lists(_amounts, max_size=5), draws=st.lists(_amounts, max_size=8))
def test_what_is_drawn_was_put(holds: list[Decimal], draws: list[Decimal]) -> None:
    purse = Purse()
    left = {}
    for number, amount in enumerate(holds):
        purse.put(str(number), amount)
        left[str(number)] = amount
    missing = Decimal(0)
    for amount in draws:
        parts = list(purse.draw(amount))
        assert sum(part for _, part in parts) == amount
        for hold, part in parts:
            if hold is None:
                missing += part
            else:
                left[hold] -= part
    assert all(amount >= 0 for amount in left.values())
    assert missing == max(sum(draws) - sum(holds), Decimal(0))
    purse.empty()
    assert sorted(purse.take_spent()) == sorted(left)
    assert purse.take_spent() == []
