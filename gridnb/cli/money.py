"""``gridnb bill`` and ``audit``: what the ledger says, and whether it is sound."""

from __future__ import annotations

from argparse import Namespace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridnb.cli.screen import console, write_json
from gridnb.config import settings
from gridnb.errors import LedgerError
from gridnb.hub import find
from gridnb.ledger import Account, Adjustment, Charge, Ledger

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["audit", "bill"]


def bill(arguments: Namespace) -> int:
    """Show what was charged, summed up."""
    with Ledger(settings().ledger) as ledger:
        accounts = ledger.accounts()
        _check(arguments, accounts, ledger)
        charges = list(ledger.charges(account=arguments.account, grid=arguments.grid))
        if arguments.grid is None and not arguments.all:
            present = {(each.name, each.currency): each.period for each in accounts}
            charges = [each for each in charges if each.period == _period(each, present)]
        later = ledger.adjustments(account=arguments.account, grid=arguments.grid)
    if arguments.account is not None:
        accounts = [each for each in accounts if each.name == arguments.account]
    if arguments.json:
        write_json(_data(arguments, charges, later, accounts))
    else:
        _show(arguments, charges, later, accounts)
    return 0


def _period(charge: Charge, present: dict[tuple[str, str], int]) -> int:
    return present[charge.account, charge.currency]


def _check(arguments: Namespace, accounts: list[Account], ledger: Ledger) -> None:
    name, grid = arguments.account, arguments.grid
    if name is not None and name not in {each.name for each in accounts}:
        known = ", ".join(each.name for each in accounts) or "none yet"
        raise LedgerError(f"there is no account {name!r}; there are: {known}")
    if grid is not None and not ledger.holds(open=None, grid=grid) and not _running(grid):
        raise LedgerError(
            f"the ledger knows no grid {grid!r}; `gridnb bill --by charge` shows those it knows"
        )


def _running(grid: str) -> bool:
    return any(hub.id == grid for hub in find.hubs())


def _data(
    arguments: Namespace,
    charges: list[Charge],
    later: list[Adjustment],
    accounts: list[Account],
) -> dict[str, Any]:
    from gridnb.tables import bill_rows

    if arguments.by == "charge":
        rows = [_charge_data(charge) for charge in charges]
    else:
        rows = [
            {key: _text(value) for key, value in row.items()}
            for row in bill_rows(charges, arguments.by)
        ]
    return {
        "by": arguments.by,
        "rows": rows,
        "totals": _totals(charges),
        "adjustments": [
            {
                "time": each.time.isoformat(),
                "account": each.account,
                "currency": each.currency,
                "amount": f"{each.amount:f}",
                "reason": each.reason,
            }
            for each in later
        ],
        "accounts": [_account_data(each) for each in accounts],
    }


def _text(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _totals(charges: list[Charge]) -> dict[str, str]:
    totals: dict[str, Decimal] = {}
    for charge in charges:
        totals[charge.currency] = totals.get(charge.currency, Decimal(0)) + charge.amount
    return {currency: f"{amount:f}" for currency, amount in totals.items()}


def _charge_data(charge: Charge) -> dict[str, Any]:
    names = ("account", "grid", "lease", "worker", "site", "owner", "run", "label", "kind",
             "currency", "estimated", "note", "period", "key")  # fmt: skip
    times = {name: getattr(charge, name).isoformat() for name in ("time", "start", "end")}
    plain = {name: getattr(charge, name) for name in names}
    return {**times, **plain, "seconds": f"{charge.seconds:f}", "amount": f"{charge.amount:f}"}


def _account_data(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "currency": account.currency,
        "period": account.period,
        "cap": _text(account.cap),
        "charged": _text(account.charged),
        "held": _text(account.held),
        "left": _text(account.left),
    }


def _show(
    arguments: Namespace,
    charges: list[Charge],
    later: list[Adjustment],
    accounts: list[Account],
) -> None:
    from gridnb.tables import bill_rows, bill_table

    screen = console()
    if not charges:
        screen.print("Nothing was charged.")
    elif arguments.by == "charge":
        screen.print(_charge_table(charges))
    else:
        screen.print(bill_table(arguments.by, bill_rows(charges, arguments.by)))
    for each in later:
        screen.print(
            f"adjustment: {each.amount:f} {each.currency}, {each.reason} ({each.account})",
            markup=False,
        )
    if accounts and arguments.grid is None:
        screen.print()
        screen.print(_account_table(accounts))


def _account_table(accounts: list[Account]) -> Table:
    from rich.text import Text

    from gridnb.tables import amounts, table

    made = table("account", ">period", ">cap", ">charged", ">held", ">left", "")
    for each in accounts:
        cap = "none" if each.cap is None else f"{each.cap:,.2f}"
        left = "" if each.left is None else f"{each.left:,.4f}"
        name = Text(each.name, overflow="ellipsis", no_wrap=True)
        made.add_row(
            name, str(each.period), cap, *amounts([each.charged, each.held]), left, each.currency
        )
    return made


def _charge_table(charges: list[Charge]) -> Table:
    from rich.text import Text

    from gridnb.tables import amounts, table

    made = table("start (UTC)", "worker", "kind", "run", ">seconds", ">amount", "")
    cells = amounts((charge.amount for charge in charges), places=9)
    for charge, amount in zip(charges, cells, strict=True):
        made.add_row(
            Text(f"{charge.start:%m-%d %H:%M:%S}", no_wrap=True),
            charge.worker,
            charge.kind,
            Text(charge.label or charge.run),
            f"{charge.seconds:.1f}",
            amount,
            charge.currency,
        )
    return made


def audit(arguments: Namespace) -> int:
    """Check the ledger; 1 if something is wrong with it."""
    with Ledger(settings().ledger) as ledger:
        findings = ledger.audit(live=[hub.id for hub in find.hubs()])
        path = str(ledger.path)
    if arguments.json:
        write_json({"ledger": path, "findings": findings})
    else:
        screen = console()
        for each in findings:
            screen.print(each, style="red", markup=False)
        verdict = f"{len(findings)} findings in" if findings else "Sound:"
        screen.print(f"{verdict} {path}", markup=False, soft_wrap=True)
    return int(bool(findings))
