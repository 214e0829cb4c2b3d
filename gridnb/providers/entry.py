"""Where a guard's child begins in a fresh interpreter: ``python -m gridnb.providers.entry``."""

from __future__ import annotations

import json
import sys

from gridnb.providers.guard import run_entry

if __name__ == "__main__":
    raise SystemExit(run_entry(sys.argv[1], json.load(sys.stdin), int(sys.argv[2])))
