"""Faults under load: answers, tasks run again, time, charges and processes.

Each fault strikes at several moments of the same work, with several seeds that choose where. The
peer is the undisturbed run in the same turn; shares are those of the trials in which all was right
(the peer's is what is wanted, 100 %). The loss of the hub may end a run with a clear error, and
only that; such a trial counts as right. What is protected may never be computed again.
"""

from __future__ import annotations

import statistics
import sys
import uuid
from collections.abc import Callable, Iterable

from benchmarks import _faults
from benchmarks._faults import FAULTS, TASKS, Trial
from benchmarks.harness import Row

QUICK = ("killed worker", "killed site")
MOMENTS = (0.15, 0.5, 0.85)
MAY_FAIL = frozenset({"killed hub"})


def run(repeats: int, quick: bool) -> list[Row]:
    """Try each fault at three moments (if quick, some at one), a third of `repeats` times each."""
    names = QUICK if quick else [name for name in FAULTS if name != "undisturbed"]
    moments = MOMENTS[1:2] if quick else MOMENTS
    seeds = range(1 if quick else max(1, repeats // 3))
    calm = [_trial("undisturbed", seed, 0.5) for seed in seeds]
    rows: list[Row] = []
    for name in names:
        trials = [_trial(name, seed, moment) for moment in moments for seed in seeds]
        rows += _rows(name, trials, calm)
    if not quick:
        trials = [_faults.killed_kernel(seed=seed, account=_account()) for seed in seeds]
        rows += _rows("killed kernel, another attaches", trials, None)
    return rows


def _account() -> str:
    return f"benchmark faults {uuid.uuid4().hex[:6]}"


def _trial(name: str, seed: int, moment: float) -> Trial:
    found = _faults.trial(FAULTS[name], seed=seed, moment=moment, account=_account())
    struck = found.struck or name == "undisturbed"
    wrong = not (struck and _answered(name, found) and found.charges and not found.left)
    if wrong or found.protected:
        print(f"{name}, seed {seed}, moment {moment}: {found}", file=sys.stderr)
    return found


def _answered(name: str, trial: Trial) -> bool:
    return trial.right or (name in MAY_FAIL and bool(trial.error))


def _rows(name: str, trials: list[Trial], calm: list[Trial] | None) -> list[Row]:
    def share(metric: str, right: Callable[[Trial], bool]) -> Row:
        value = 100 * statistics.fmean(right(each) for each in trials)
        return _row(name, metric, "%", [value], [100.0], "what is wanted", len(trials))

    rows = [
        share("right answers", lambda each: _answered(name, each)),
        share("protected, not recomputed", lambda each: not each.protected),
        share("right charges", lambda each: each.charges),
        share("no process left", lambda each: not each.left),
    ]
    if calm is not None and (timed := [each for each in trials if each.seconds]):
        before = [each.seconds for each in calm if each.seconds]
        ran = [float(TASKS + each.others) for each in timed]
        peer = "undisturbed"
        rows += [
            _row(name, "answer", "s", [t.seconds for t in timed], before, peer, len(timed)),
            _row(name, "tasks run", "tasks", ran, [float(TASKS)], peer, len(timed)),
        ]
    return rows


def _row(
    case: str,
    metric: str,
    unit: str,
    ours: Iterable[float],
    theirs: Iterable[float],
    peer: str,
    repeats: int,
) -> Row:
    a, b = list(ours), list(theirs)
    mine, other = statistics.median(a), statistics.median(b)
    return Row(case, metric, unit, mine, other, peer, mine / other, repeats, tuple(a), tuple(b))
