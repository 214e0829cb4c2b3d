"""A process that spends: holds, charges in lots of five, releases; says what was committed.

python spender.py LEDGER NAME ROUNDS SEED
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from decimal import Decimal

from gridnb.errors import BudgetExceeded
from gridnb.ledger import ChargeLine, HoldOrder, Ledger

LOT = 5


def spend(ledger: Ledger, name: str, number: int, chance: random.Random) -> None:
    keys = [f"{name}.{number}.{i}" for i in range(2)]
    amounts = [Decimal(chance.randrange(LOT, 10**9)).scaleb(-9) for _ in keys]
    orders = [HoldOrder(key=k, amount=a, grid=name) for k, a in zip(keys, amounts, strict=True)]
    try:
        ledger.hold("shared", "GD", orders)
    except BudgetExceeded:
        print("refused", flush=True)
        return
    print("held", *keys, flush=True)
    now = datetime.now(UTC)
    lines = [
        ChargeLine(
            key=f"{keys[i % 2]}/{i}",
            hold=keys[i % 2],
            amount=(amounts[i % 2] / LOT).quantize(Decimal("1e-9"), rounding="ROUND_DOWN"),
            kind="used",
            start=now,
            end=now,
        )
        for i in range(LOT)
    ]
    ledger.settle(lines, [keys[0]])
    print("charged", *(f"{line.key}={line.amount}" for line in lines), flush=True)
    ledger.release(keys[1:])


def main(path: str, name: str, rounds: str, seed: str) -> None:
    chance = random.Random(seed)
    with Ledger(path) as ledger:
        ledger.open_account("shared", "GD", Decimal(5))
        for number in range(int(rounds)):
            spend(ledger, name, number, chance)


if __name__ == "__main__":
    main(*sys.argv[1:])
