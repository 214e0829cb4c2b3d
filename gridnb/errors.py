"""Every error that gridnb raises on purpose.

    GridError
    ├── ConfigError          a setting that is not one, or not of its kind
    ├── CatalogError         a catalog, site, offer or link that cannot be used
    ├── RequestError         a request that is wrong or that no site can meet
    ├── BudgetError          no budget, or a budget that does not allow this
    │   ├── BudgetExceeded   the cap would be passed
    │   └── ConsentError     nobody has agreed to spend real money
    ├── LedgerError          the ledger refuses
    │   └── LedgerUnavailable   its file cannot be read or written now
    ├── ProviderError        a site could not start or end a worker
    ├── HubError             the process that owns a grid is missing or does not answer
    ├── StageError           a file cannot be staged, brought to a site, or fetched
    └── CellError            a cell cannot be carried to a site or back
        ├── CaptureError     a name that the cell reads cannot travel
        ├── ReturnError      a value cannot come back
        └── CellLost         the process in which the cell ran has ended

The text of each is one line: what is wrong, where, and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

__all__ = [
    "BudgetError",
    "BudgetExceeded",
    "CaptureError",
    "CatalogError",
    "CellError",
    "CellLost",
    "ConfigError",
    "ConsentError",
    "GridError",
    "HubError",
    "LedgerError",
    "LedgerUnavailable",
    "ProviderError",
    "RequestError",
    "ReturnError",
    "StageError",
]


class GridError(Exception):
    """Base of all errors of gridnb; its text says what to do about it."""


class ConfigError(GridError):
    """A setting has an unknown name or a value of the wrong kind."""


class CatalogError(GridError):
    """A catalog, or something named in one, cannot be used."""


class RequestError(GridError):
    """A request is not well formed, or no site can meet it."""


class BudgetError(GridError):
    """Money is needed and there is no budget that allows it."""


class BudgetExceeded(BudgetError):
    """A hold or charge would pass the cap.

    Attributes
    ----------
    needed, left
        Amounts in the budget's currency: what was asked for, and what is free.
    """

    def __init__(self, message: str, *, needed: Decimal, left: Decimal) -> None:
        super().__init__(message)
        self.needed = needed
        self.left = left

    def __reduce__(self) -> tuple[object, ...]:
        return _budget_exceeded, (str(self), self.needed, self.left)


def _budget_exceeded(message: str, needed: Decimal, left: Decimal) -> BudgetExceeded:
    return BudgetExceeded(message, needed=needed, left=left)


class ConsentError(BudgetError):
    """Real money would be spent, and nobody has agreed to it in this session.

    Attributes
    ----------
    quotes
        What would be bought, as JSON of :class:`~gridnb.broker.Quote`.
    budget
        Whose money it is: ``account``, ``currency``, ``cap`` and ``left`` (decimal text).
    """

    def __init__(
        self, message: str, *, quotes: Sequence[str] = (), budget: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.quotes = tuple(quotes)
        self.budget = dict(budget or {})


class LedgerError(GridError):
    """The ledger refuses an entry."""


class LedgerUnavailable(LedgerError):
    """The ledger's storage cannot be read or written: locked, full, or not ours."""


class ProviderError(GridError):
    """A site could not start, renew or end a worker."""


class HubError(GridError):
    """The hub of a grid cannot be reached, or refused."""


class StageError(GridError):
    """A file cannot be staged, brought to a site, or fetched from one."""


class CellError(GridError):
    """A cell could not be carried to a site, or its outcome not back."""


class CaptureError(CellError):
    """A value that the cell reads cannot be sent; names the variable."""


class ReturnError(CellError):
    """A value that the cell made cannot come back; names it."""


class CellLost(CellError):
    """The process in which the cell ran ended before the cell did."""
