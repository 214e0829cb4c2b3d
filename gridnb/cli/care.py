"""``gridnb reap`` and ``doctor``: cleaning up, and finding out what is wrong here."""

from __future__ import annotations

from argparse import Namespace

from gridnb.cli.screen import console, write_json

__all__ = ["doctor", "reap"]


def reap(arguments: Namespace) -> int:
    """Settle lost grids, then end processes of ours that belong to none that runs."""
    from gridnb.hub.reap import reap as settle
    from gridnb.strays import end_strays

    done = settle(orphans=arguments.orphans)
    ended = end_strays()
    if arguments.json:
        write_json({"settled": done, "ended": ended})
        return 0
    screen = console()
    for line in [*done, *ended]:
        screen.print(line, markup=False)
    if not done and not ended:
        screen.print("Nothing was left behind.")
    return 0


def doctor(arguments: Namespace) -> int:
    """Try everything, step by step; 1 if something is wrong."""
    from gridnb.doctor import Check, examine

    screen = console()
    checks: list[Check] = []
    for check in examine():
        checks.append(check)
        if not arguments.json:
            _say(check)
    well = all(check.ok for check in checks)
    if arguments.json:
        write_json({"ok": well, "checks": [vars(check) for check in checks]})
    elif well:
        screen.print("\nAll is well. `gridnb demo` shows what gridnb does.")
    return int(not well)


def _say(check: object) -> None:
    from rich.table import Table
    from rich.text import Text

    from gridnb.doctor import Check

    assert isinstance(check, Check)
    mark, style = ("✓", "green") if check.ok else ("✗", "red")
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(width=16)
    row.add_column()
    text = Text(check.text)
    if check.advice:
        text.append(f"\n→ {check.advice}", style="yellow")
    row.add_row(Text(mark, style=style), check.name, text)
    console().print(row)
