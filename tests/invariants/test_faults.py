"""Faults at random under load: right answers, no hang, the money right, no process left."""

from __future__ import annotations

import os
import random

import pytest

from benchmarks._faults import FAULTS, trial

#: Other seeds are tried with GRIDNB_FAULT_SEED; a failure names the one that it came with.
_FIRST = int(os.environ.get("GRIDNB_FAULT_SEED", "0"))
#: The loss of the hub is for tests of its own.
_NAMES = sorted(set(FAULTS) - {"undisturbed", "killed hub", "notice of 120 s"})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(_FIRST, _FIRST + 3))
def test_a_fault_at_random(seed: int) -> None:
    dice = random.Random(seed)
    name, moment = dice.choice(_NAMES), dice.uniform(0.05, 0.9)
    found = trial(FAULTS[name], seed=seed, moment=moment, account=f"fault {seed}")
    told = f"{name} at {moment:.2f}, seed {seed}: {found}"
    assert found.struck, told
    assert not found.error, told
    assert found.right, told
    assert found.protected == 0, told
    assert found.charges, told
    assert not found.left, told


@pytest.mark.slow
def test_a_killed_hub_is_a_clear_error_and_leaves_nothing() -> None:
    found = trial(FAULTS["killed hub"], seed=1, moment=0.3, account="fault hub")
    assert found.struck and (found.error or found.right), found
    assert found.charges and not found.left, found
