"""The same as ``gridnb``: ``python -m gridnb.cli``."""

from __future__ import annotations

from gridnb.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
