"""Several processes, one ledger; and processes that are killed at random moments."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from gridnb.ledger import Ledger

SPENDER = Path(__file__).with_name("spender.py")
LOT = 5


@contextmanager
def spending(
    path: Path, names: list[str], rounds: int, seed: int = 0
) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, str(SPENDER), str(path), name, str(rounds), f"{seed}{name}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def watch(path: Path, over: threading.Event, seen: list[tuple[Decimal, Decimal]]) -> None:
    with Ledger(path) as ledger:
        while not over.wait(0.001):
            found = ledger.accounts()
            seen += [(each.charged + each.held, each.cap or Decimal(0)) for each in found]


def test_processes_that_share_a_budget_never_pass_its_cap(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    seen: list[tuple[Decimal, Decimal]] = []
    over = threading.Event()
    reader = threading.Thread(target=watch, args=(path, over, seen))
    with spending(path, ["a", "b", "c", "d"], rounds=40) as processes:
        reader.start()
        outputs = [process.communicate()[0] for process in processes]
        over.set()
        reader.join()
        assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert any("refused" in output for output in outputs)
    assert all(spent <= cap for spent, cap in seen)
    with Ledger(path) as ledger:
        (account,) = ledger.accounts()
        assert account.held == 0
        assert 4 < account.charged <= 5
        assert account.charged == sum(charge.amount for charge in ledger.charges())
        # The audit looks at the cap after every single entry.
        assert ledger.audit() == []


def test_threads_may_share_a_ledger(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.open_account("shared", "GD", Decimal(5))
        adders = [
            threading.Thread(
                target=lambda: [
                    ledger.adjust("shared", "GD", Decimal("0.1"), "x") for _ in range(10)
                ]
            )
            for _ in range(4)
        ]
        for adder in adders:
            adder.start()
        for adder in adders:
            adder.join()
        (account,) = ledger.accounts()
        assert account.adjusted == 4
        assert ledger.audit() == []


def acknowledged(output: str) -> dict[str, Decimal]:
    """Return charges by key whose line was printed whole."""
    whole = [line.split() for line in output.splitlines(keepends=True) if line.endswith("\n")]
    pairs = [word.split("=") for verb, *words in whole if verb == "charged" for word in words]
    return {key: Decimal(amount) for key, amount in pairs}


@pytest.mark.parametrize("seed", range(6))
def test_sigkill_loses_no_committed_charge_and_leaves_no_half(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "ledger.db"
    chance = random.Random(seed)
    said: dict[str, Decimal] = {}
    with spending(path, ["a", "b"], rounds=10_000, seed=seed) as processes:
        first = [process.stdout.readline() for process in processes if process.stdout]
        for process, line in zip(processes, first, strict=True):
            time.sleep(chance.random() * 0.03)
            process.kill()
            said |= acknowledged(line + process.communicate()[0])
    with Ledger(path) as ledger:
        there = {charge.key: charge.amount for charge in ledger.charges()}
        assert said.items() <= there.items()
        lots: dict[str, int] = {}
        for key in there:
            lot = key.rpartition(".")[0]
            lots[lot] = lots.get(lot, 0) + 1
        assert set(lots.values()) <= {LOT}
        assert ledger.audit() == []
        (account,) = ledger.accounts()
        assert account.charged == sum(there.values())
        # What the killed ones still held is found and given back.
        ledger.release(hold.key for hold in ledger.holds())
        (account,) = ledger.accounts()
        assert account.held == 0


def test_a_writer_that_is_stopped_in_a_transaction_does_not_stop_readers(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as one, Ledger(tmp_path / "ledger.db") as other:
        one.open_account("shared", "GD", Decimal(5))
        with one._batch() as batch:
            batch.set_cap(batch.balance("shared", "GD"), 6 * 10**9)
            (account,) = other.accounts()
            assert account.cap == 5
        (account,) = other.accounts()
        assert account.cap == 6
