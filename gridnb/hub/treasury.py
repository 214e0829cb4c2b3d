"""The hub's way to the ledger: off the event loop, and nothing is forgotten if it fails.

Charges that could not be written (a full disk, a locked file) stay queued under
their idempotent keys and are tried again with the next ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TypeVar

from gridnb.errors import LedgerError
from gridnb.ledger import Account, ChargeLine, HoldOrder, Ledger

__all__ = ["Treasury"]

logger = logging.getLogger("gridnb.hub")
T = TypeVar("T")


class Treasury:
    """One account in the ledger, as the hub of a grid uses it."""

    def __init__(self, url: str | None, account: str, currency: str) -> None:
        self.name = account
        self.currency = currency
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gridnb-ledger")
        self._url = url
        self._ledger: Ledger | None = None
        self._lines: list[ChargeLine] = []
        self._releases: list[str] = []
        self._lock = asyncio.Lock()

    async def _do(self, work: Callable[[Ledger], T]) -> T:
        def run() -> T:
            if self._ledger is None:
                self._ledger = Ledger(self._url)
            return work(self._ledger)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def open(self, cap: Decimal | None) -> Account:
        """Open the account; a cap that is given becomes its cap."""
        return await self._do(lambda ledger: ledger.open_account(self.name, self.currency, cap))

    async def account(self) -> Account:
        """Return the account as it is now."""
        found = await self._do(lambda ledger: ledger.account(self.name, self.currency))
        if found is None:
            raise LedgerError(f"budget {self.name}: it is not in the ledger any more")
        return found

    async def hold(self, orders: Sequence[HoldOrder]) -> None:
        """Set money aside, all or nothing.

        Raises
        ------
        BudgetError
            If the budget does not allow it; nothing is held then.
        """
        await self._do(lambda ledger: ledger.hold(self.name, self.currency, orders))

    async def settle(self, lines: Sequence[ChargeLine], releases: Sequence[str]) -> None:
        """Charge lines, and release what is left of holds; queued until it succeeds."""
        async with self._lock:
            self._lines.extend(lines)
            self._releases.extend(releases)
            if not self._lines and not self._releases:
                return
            now_lines, now_releases = list(self._lines), list(self._releases)
            try:
                await self._do(lambda ledger: ledger.settle(now_lines, now_releases))
            except LedgerError as error:
                logger.error("%d charges, one by one, after: %s", len(now_lines), error)
                now_lines, now_releases = await self._one_by_one(now_lines, now_releases)
            self._lines = [line for line in self._lines if line not in now_lines]
            self._releases = [key for key in self._releases if key not in now_releases]

    async def _one_by_one(
        self, lines: list[ChargeLine], releases: list[str]
    ) -> tuple[list[ChargeLine], list[str]]:
        """Write what can be written; a line that is refused for good becomes an adjustment."""
        written: list[ChargeLine] = []
        for line in lines:
            try:
                await self._do(lambda ledger, line=line: ledger.settle([line], []))  # type: ignore[misc]
            except LedgerError as error:
                if not await self._post_refused(line, str(error)):
                    return written, []
            written.append(line)
        try:
            await self._do(lambda ledger: ledger.settle([], releases))
        except LedgerError as error:
            logger.error("holds could not be released: %s", error)
            return written, []
        return written, releases

    async def _post_refused(self, line: ChargeLine, why: str) -> bool:
        key, reason = f"{line.key}/refused", f"a charge of {line.worker} was refused: {why}"
        try:
            await self.adjust(line.amount, reason, key=key, grid=line.grid, site=line.site)
        except LedgerError as error:
            logger.error("the ledger cannot be written: %s", error)
            return False
        return True

    async def adjust(self, amount: Decimal, reason: str, **tags: str) -> None:
        """Post what no hold covers, apart from the charges."""
        await self._do(
            lambda ledger: ledger.adjust(self.name, self.currency, amount, reason, **tags)
        )

    async def close(self) -> bool:
        """Close the ledger, after a last try for what is queued; returns whether all is written."""
        await self.settle([], [])
        if self._ledger is not None:
            await self._do(lambda ledger: ledger.close())
        self._thread.shutdown()
        return not self._lines and not self._releases
