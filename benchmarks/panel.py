"""A panel: what an update costs, and the share of a CPU that the kernel spends on it.

The sizes are those that it has to stay smooth with: 200 workers and 10,000 runs; their
peer is a grid of 2 workers and 10 runs. The share is that of all of the kernel's threads
while a cell at a site prints ten lines a second; its peer is the same without a panel.
"""

from __future__ import annotations

import time

from benchmarks._kernels import Kernel, kernel
from benchmarks.harness import Row, in_turn, row

LARGE, SMALL = (200, 10_000), (2, 10)

SYNTHETIC = """\
import time
from benchmarks import _synthetic
large, small = (_synthetic.hub(*size) for size in ({large}, {small}))
views = dict(large=_synthetic.view(large), small=_synthetic.view(small))
hubs = dict(large=large, small=small)
step = 0
def update(which, count):
    global step
    snapshots = [_synthetic.snapshot(hubs[which], step + n) for n in range(1, count + 1)]
    step += count
    begun = time.process_time()
    for each in snapshots:
        views[which].show(each)
    return (time.process_time() - begun) / count * 1000
"""
GRID = """\
import time
%load_ext gridnb
%grid connect demo --budget 1000 GD --account benchmark-panel
%grid request --cores 1 --sites alpha
"""
STREAM = """\
%%grid
import time
for line in range({lines}):
    print("line", line)
    time.sleep(0.1)
"""


def run(repeats: int, quick: bool) -> list[Row]:
    """Measure updates a hundred at a time, and runs of four seconds if quick, else of twenty."""
    return [_status(repeats), _update(repeats), _share(min(repeats, 5), 4 if quick else 20)]


def _status(repeats: int) -> Row:
    """What the hub does for a panel that asks."""
    from benchmarks import _synthetic
    from gridnb.hub.status import status
    from gridnb.widgets.panel.model import RUNS

    about, account = _synthetic.about(), _synthetic.account()

    def timed(workers: int, runs: int, count: int = 20) -> float:
        state = _synthetic.hub(workers, runs)
        begun = time.process_time()
        for _ in range(count):
            status(state, account, about, runs=RUNS, workers=False)
        return (time.process_time() - begun) / count * 1000

    ours, theirs = in_turn(repeats, lambda: timed(*LARGE), lambda: timed(*SMALL))
    return row("10,000 runs", "state, hub", "ms", ours, theirs, _small())


def _update(repeats: int) -> Row:
    """What the kernel does for a panel that shows a new state, widgets' messages included."""
    with kernel() as warm:
        warm.run(SYNTHETIC.format(large=LARGE, small=SMALL))

        def timed(which: str) -> float:
            return float(warm.run(f"print(update({which!r}, 100))")[0])

        ours, theirs = in_turn(repeats, lambda: timed("large"), lambda: timed("small"))
    return row("10,000 runs", "update, kernel", "ms", ours, theirs, _small())


def _small() -> str:
    return "2 workers, 10 runs"


def _share(repeats: int, seconds: int) -> Row:
    """The kernel's CPU while a run streams, with a panel open and without one."""
    with kernel() as warm:
        warm.run(GRID)
        try:
            warm.run("%%grid\n1")
            ours, theirs = in_turn(
                repeats, lambda: _with_panel(warm, seconds), lambda: _cpu(warm, seconds)
            )
        finally:
            warm.run("%grid close")
    return row("streaming", "CPU, kernel", "%", ours, theirs, "without a panel")


def _with_panel(warm: Kernel, seconds: int) -> float:
    warm.run("panel = grid.panel()\npanel")
    try:
        return _cpu(warm, seconds)
    finally:
        warm.run("panel.close()")


def _cpu(warm: Kernel, seconds: int) -> float:
    """Return the share of a CPU, in percent, that all threads of the kernel took together."""
    warm.run("before = time.process_time(), time.monotonic()")
    warm.run(STREAM.format(lines=seconds * 10))
    text, _ = warm.run(
        "print((time.process_time() - before[0]) / (time.monotonic() - before[1]) * 100)"
    )
    return float(text)
