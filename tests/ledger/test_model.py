"""The ledger against a few lines of arithmetic, over random histories."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gridnb.errors import BudgetError, LedgerError
from gridnb.ledger import ChargeLine, HoldOrder, Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AMOUNTS = st.decimals(0, 5, places=9) | st.sampled_from([Decimal(0), Decimal("1e-9"), Decimal(5)])
HOLDS = st.sampled_from([f"h{i}" for i in range(6)])
NAMES = st.sampled_from(["a", "b"])


@dataclass
class Model:
    cap: Decimal | None = None
    charged: Decimal = Decimal(0)
    adjusted: Decimal = Decimal(0)
    holds: dict[str, Decimal] = field(default_factory=dict)

    @property
    def held(self) -> Decimal:
        return sum(self.holds.values(), Decimal(0))

    @property
    def left(self) -> Decimal:
        return (self.cap or Decimal(0)) - self.charged - self.held - max(self.adjusted, Decimal(0))


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.ledger = Ledger(Path(self.directory) / "ledger.db", clock=lambda: NOON)
        self.models = {"a": Model(), "b": Model(cap=Decimal(10))}
        self.ledger.open_account("a", "GD")
        self.ledger.open_account("b", "GD", Decimal(10))
        self.owners: dict[str, str] = {}
        self.charges: dict[str, Decimal] = {}

    def teardown(self) -> None:
        assert self.ledger.audit() == []
        assert sum(charge.amount for charge in self.ledger.charges()) == sum(self.charges.values())
        self.ledger.close()
        shutil.rmtree(self.directory)

    def allowed(self, action: object, *errors: type[Exception]) -> bool:
        try:
            action()  # type: ignore[operator]
        except errors:
            return False
        return True

    @rule(name=NAMES, cap=AMOUNTS)
    def cap(self, name: str, cap: Decimal) -> None:
        model = self.models[name]
        done = self.allowed(lambda: self.ledger.open_account(name, "GD", cap), BudgetError)
        assert done == (model.charged + model.held <= cap)
        if done:
            model.cap = cap

    @rule(name=NAMES)
    def reset(self, name: str) -> None:
        self.ledger.reset(name, "GD")
        self.models[name].charged = self.models[name].adjusted = Decimal(0)

    @rule(name=NAMES, amounts=st.dictionaries(HOLDS, AMOUNTS, min_size=1, max_size=3))
    def hold(self, name: str, amounts: dict[str, Decimal]) -> None:
        model = self.models[name]
        orders = [HoldOrder(key=key, amount=amount) for key, amount in amounts.items()]
        done = self.allowed(lambda: self.ledger.hold(name, "GD", orders), BudgetError, LedgerError)
        fresh = not any(key in self.owners for key in amounts)
        needed = sum(amounts.values())
        fits = needed <= model.left or not needed
        if fresh:
            assert done == fits
        if done and fresh:
            model.holds |= amounts
            self.owners |= dict.fromkeys(amounts, name)

    @rule(lines=st.lists(st.tuples(HOLDS, AMOUNTS), min_size=1, max_size=3), release=st.booleans())
    def settle(self, lines: list[tuple[str, Decimal]], release: bool) -> None:
        keys = [f"c{len(self.charges) + i}" for i in range(len(lines))]
        records = [
            ChargeLine(key=key, hold=hold, amount=amount, kind="used", start=NOON, end=NOON)
            for key, (hold, amount) in zip(keys, lines, strict=True)
        ]
        holds = list(dict.fromkeys(hold for hold, _ in lines)) if release else []
        done = self.allowed(lambda: self.ledger.settle(records, holds), LedgerError)
        have = {key: value for model in self.models.values() for key, value in model.holds.items()}
        for hold, amount in lines:
            have[hold] = have.get(hold, Decimal(-1)) - amount
        assert done == all(have[hold] >= 0 for hold, _ in lines)
        if not done:
            return
        for key, (hold, amount) in zip(keys, lines, strict=True):
            model = self.models[self.owners[hold]]
            model.holds[hold] -= amount
            model.charged += amount
            self.charges[key] = amount
        for hold in holds:
            del self.models[self.owners[hold]].holds[hold]

    @rule(name=NAMES, amount=AMOUNTS, credit=st.booleans())
    def adjust(self, name: str, amount: Decimal, credit: bool) -> None:
        amount = -amount if credit else amount
        self.ledger.adjust(name, "GD", amount, "invoice")
        self.models[name].adjusted += amount

    @invariant()
    def balances_agree(self) -> None:
        for account in self.ledger.accounts():
            model = self.models[account.name]
            there = account.cap, account.charged, account.held, account.adjusted
            assert there == (model.cap, model.charged, model.held, model.adjusted)
            assert account.charged + account.held <= (account.cap or 0)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
