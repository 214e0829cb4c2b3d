"""A kernel that can be killed: leases one worker, and keeps it busy in a given way.

``python driver.py ACCOUNT WHERE HOW FLAG``: WHERE is ``task``, ``cell`` or ``job``, HOW a key of
BODIES. A job goes on without its kernel, so its account has money for half a minute only.
Prints ``busy`` when the work runs.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

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
    budget = "0.03 GD" if where == "job" else "0.1 GD"
    grid = gridnb.Grid(catalog(term="6s", count=1), budget, account)
    grid.request(workers=1).wait()
    threading.Thread(target=tell, args=(Path(flag),)).start()
    if where == "cell":
        shell = InteractiveShell.instance(user_ns={"grid": grid, "flag": flag})
        shell.run_line_magic("load_ext", "gridnb")
        shell.run_cell_magic("grid", "", body)

    def work(body: str, flag: str) -> None:
        exec(body, {"flag": flag})

    submit = grid.client.submit if where == "task" else grid.submit
    submitted = submit(work, body, flag)
    time.sleep(300)
    del submitted


def tell(flag: Path) -> None:
    """Say so when the work runs."""
    while not flag.exists():
        time.sleep(0.05)
    print("busy", os.getpid(), flush=True)


if __name__ == "__main__":
    main()
