"""``gridnb demo``: the main job on real data, over simulated sites.

The demo *is* a notebook: a kernel executes it, cell by cell, as JupyterLab
would, and this package shows from outside what goes on: it attaches to the
notebook's grid as `gridnb status` does. The executed notebook stays.
"""

from __future__ import annotations

from argparse import Namespace

__all__ = ["command"]


def command(arguments: Namespace) -> int:
    """Run the demo; 0 when all answers were right and nothing was left behind."""
    from gridnb.demo.show import run

    return run(arguments.directory, as_json=arguments.json)
