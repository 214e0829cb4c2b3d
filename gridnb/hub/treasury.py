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

from gridnb.errors import LedgerError, LedgerUnavailable
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

    def queue(self, lines: Sequence[ChargeLine], releases: Sequence[str]) -> None:
        """Note what is to be written; :meth:`settle` writes it, or tries again later."""
        self._lines.extend(lines)
        self._releases.extend(releases)

    async def settle(self) -> None:
        """Write what is queued, charges before releases."""
        async with self._lock:
            lines, releases = list(self._lines), list(self._releases)
            if not lines and not releases:
                return
            try:
                await self._do(lambda ledger: ledger.settle(lines, releases))
            except LedgerUnavailable as error:
                logger.error("%d charges wait: %s", len(lines), error)
                return
            except LedgerError as error:
                logger.error("%d charges, one by one, after: %s", len(lines), error)
                await self._one_by_one(lines, releases)
                return
            del self._lines[: len(lines)]
            del self._releases[: len(releases)]

    async def _one_by_one(self, lines: list[ChargeLine], releases: list[str]) -> None:
        """Write what can be written; a line that is refused for good becomes an adjustment."""
        for line in lines:
            try:
                await self._charge(line)
            except LedgerUnavailable as error:
                logger.error("charges wait: %s", error)
                return
            self._lines.remove(line)
        for key in releases:
            try:
                await self._do(lambda ledger, key=key: ledger.release([key]))  # type: ignore[misc]
            except LedgerUnavailable as error:
                logger.error("releases wait: %s", error)
                return
            except LedgerError as error:
                logger.error("%s could not be released: %s", key, error)
            self._releases.remove(key)

    async def _charge(self, line: ChargeLine) -> None:
        try:
            await self._do(lambda ledger: ledger.settle([line], []))
        except LedgerUnavailable:
            raise
        except LedgerError as error:
            why = f"a charge of {line.worker} was refused: {error}"
            await self.adjust(line.amount, why, f"{line.key}/refused", line.site)

    async def release_all(self, grid: str) -> None:
        """Release what is still held for a grid, when all of it is charged."""
        await self.settle()
        await self._do(
            lambda ledger: ledger.release([hold.key for hold in ledger.holds(grid=grid)])
        )

    async def adjust(self, amount: Decimal, reason: str, key: str, site: str) -> None:
        """Post what no hold covers, apart from the charges."""
        grid = key.partition("/")[0]
        await self._do(
            lambda ledger: ledger.adjust(
                self.name, self.currency, amount, reason, key=key, grid=grid, site=site
            )
        )

    async def close(self) -> bool:
        """Close the ledger, after a last try for what is queued; returns whether all is written."""
        await self.settle()
        if self._ledger is not None:
            await self._do(lambda ledger: ledger.close())
        self._thread.shutdown()
        return not self._lines and not self._releases
