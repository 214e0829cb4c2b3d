"""``%load_ext gridnb`` in a running kernel, against ``import distributed`` there.

Each time in a kernel of its own, since a module is imported only once: `time` is
what the kernel's own clock shows, `reply` what passes until the notebook has the answer.
"""

from __future__ import annotations

from benchmarks._kernels import kernel
from benchmarks.harness import Row, in_turn, row

TIMED = """\
from time import perf_counter as _clock
_begun = _clock()
{}
print(_clock() - _begun)
"""


def load(statement: str) -> tuple[float, float]:
    """Return the milliseconds that the statement takes, and those until its reply is here."""
    with kernel() as fresh:
        text, took = fresh.run(TIMED.format(statement))
        return float(text) * 1000, took * 1000


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure; a quick run differs in its repeats only."""
    ours, theirs = in_turn(
        repeats, lambda: load("%load_ext gridnb"), lambda: load("import distributed")
    )
    peer = "import distributed"
    return [
        row("%load_ext gridnb", metric, "ms", [o[i] for o in ours], [t[i] for t in theirs], peer)
        for i, metric in enumerate(("time", "reply"))
    ]
