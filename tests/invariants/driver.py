"""A kernel that can be killed: leases one worker, and keeps it busy in a given way.

``python driver.py ACCOUNT WHERE HOW``: WHERE is ``task`` or ``cell``, HOW a key of BODIES.
Prints ``busy`` when the work runs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import gridnb
from tests.grids import catalog

#: Each marks the file `flag` when it runs, and would go on for minutes.
BODIES = {
    "python": """
        open(flag, "w").close()
        while True:
            pass
    """,
    "gil": """
        import ctypes
        open(flag, "w").close()
        ctypes.PyDLL(None).sleep(300)  # PyDLL does not let go of the GIL
    """,
    "forks": """
        import os, subprocess, time
        subprocess.Popen(["sleep", "300"])
        subprocess.Popen(["sh", "-c", "setsid sleep 300 & setsid sleep 300 &"])
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(300)  # a daemon: its parent is gone, its session its own
            os._exit(0)
        time.sleep(1)
        open(flag, "w").close()
        time.sleep(300)
    """,
}


def main() -> None:
    """Be that kernel until killed."""
    account, where, how, flag = sys.argv[1:]
    lines = BODIES[how].strip("\n").splitlines()
    body = "\n".join(line[8:] for line in lines)
    grid = gridnb.Grid(catalog(term="6s", count=1), "0.1 GD", account)
    grid.request(workers=1).wait()

    def work(body: str, flag: str) -> None:
        exec(body, {"flag": flag})

    if where == "task":
        future = grid.client.submit(work, body, flag)
    else:
        future = grid.submit(work, body, flag)
    while not Path(flag).exists():
        time.sleep(0.05)
    print("busy", os.getpid(), flush=True)
    time.sleep(300)
    del future


if __name__ == "__main__":
    main()
