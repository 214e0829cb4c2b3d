"""What would be bought, what it costs, and why nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Self

from pydantic import Field, ValidationError

from gridnb.broker.request import Amount, Request
from gridnb.catalog.models import Model
from gridnb.catalog.problems import problems
from gridnb.errors import RequestError
from gridnb.units import Money, format_bytes, format_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Quote", "QuoteLine", "Refusal"]


class QuoteLine(Model):
    """So many workers of one offer.

    Attributes
    ----------
    site, offer, owner, region
        Names, as in the catalog.
    count
        How many workers.
    cores, memory, gpus, speed, spot
        Of each worker; memory in bytes.
    start_delay
        Until they are up, in billed seconds.
    rate
        For an hour of all of them.
    upfront
        For the first term of all of them, starts and minimum included.
    term
        The time that is paid for at once, in billed seconds.
    """

    site: str
    offer: str
    owner: str
    region: str
    count: int = Field(ge=1)
    cores: int
    memory: int
    gpus: int
    speed: Decimal
    spot: bool
    start_delay: float
    rate: Amount
    upfront: Amount
    term: float


class Refusal(Model):
    """Why a site was not taken, in words."""

    site: str
    reason: str


class Quote(Model):
    """An answer to a request: nothing is bought until it is accepted.

    Attributes
    ----------
    id
        The same for the same answer.
    lines
        What would be bought.
    rate
        For an hour of all of it.
    upfront
        What has to be set aside before the first worker starts.
    cap
        The most that it can come to; None when nothing limits it.
    predicted
        What it will probably cost; None when there is nothing to tell it from.
    ready_in
        Until all workers are up, in billed seconds.
    term_seconds
        The shortest time that is paid for at once, in billed seconds.
    cores, memory, gpus, workers
        Of all lines together; memory in bytes.
    refused
        For each site that is not in a line, why.
    """

    id: str
    catalog: str
    simulated: bool
    time_scale: Decimal
    request: Request
    lines: tuple[QuoteLine, ...] = Field(min_length=1)
    rate: Amount
    upfront: Amount
    cap: Amount | None
    predicted: Amount | None = None
    ready_in: float
    term_seconds: float
    cores: int
    memory: int
    gpus: int
    workers: int
    refused: tuple[Refusal, ...]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        RequestError
            If it is not a quote.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise RequestError(f"quote: {problems(error, cls)[0]}") from None

    @property
    def currency(self) -> str:
        """The currency of all of its amounts."""
        return self.rate.currency

    @property
    def free(self) -> bool:
        """Whether its workers cost nothing."""
        return not self.rate and not self.upfront

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that it takes, in the order of the lines."""
        return tuple(dict.fromkeys(line.site for line in self.lines))

    @property
    def headline(self) -> str:
        """The whole in one line."""
        cost = "free" if self.free else f"{self.rate} per hour"
        parts = [
            f"{self.workers} worker{'s' if self.workers > 1 else ''}, {_cores(self.cores)}",
            cost,
            f"cost {_cost(self)}",
            f"ready in {format_seconds(self.ready_in)}",
        ]
        if self.simulated:
            parts.append("simulated money and time" if self.time_scale != 1 else "simulated money")
        return f"Quote {self.id}: " + " · ".join(parts)

    def __str__(self) -> str:
        rows = [self.headline]
        rows += [f"  {_line_text(line)}" for line in self.lines]
        rows += [f"  not {each.site}: {each.reason}" for each in self.refused]
        return "\n".join(rows)

    def __rich__(self) -> RenderableType:
        """Draw it as a table, the sites that are not taken below those that are."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        # So, and without the regions, it fits into 80 columns.
        taken = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        taken.add_column("workers", no_wrap=True)
        taken.add_column("owner")
        for name in ("cores", "memory", "speed", "starts in", "per hour"):
            taken.add_column(name, justify="right", no_wrap=True)
        for line in self.lines:
            taken.add_row(*map(Text, _cells(line)))
        refused = Table.grid(padding=(0, 2))
        for each in self.refused:
            refused.add_row(Text(f"not {each.site}"), Text(each.reason), style="dim")
        return Group(Text(self.headline, style="bold"), taken, refused)


def _cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"


def _cost(quote: Quote) -> str:
    if quote.predicted is not None:
        return f"about {quote.predicted}"
    if quote.cap is not None:
        return f"≤ {quote.cap}"
    return "nothing" if quote.free else "without a cap"


def _line_text(line: QuoteLine) -> str:
    each = f"{_cores(line.cores)}, {format_bytes(line.memory)}, speed {_speed(line)}"
    return (
        f"{line.count} × {line.site} {line.offer}{_spot(line)} ({line.owner}): {each} each, "
        f"{line.rate} per hour"
    )


def _cells(line: QuoteLine) -> tuple[str, ...]:
    return (
        f"{line.count} × {line.site} {line.offer}{_spot(line)}",
        line.owner,
        str(line.cores * line.count),
        format_bytes(line.memory * line.count),
        _speed(line),
        format_seconds(line.start_delay).removesuffix(" 00 s"),
        str(line.rate),
    )


def _spot(line: QuoteLine) -> str:
    return " spot" if line.spot and line.offer != "spot" else ""


def _speed(line: QuoteLine) -> str:
    return f"{line.speed.normalize():f}"


def total(amounts: list[Money]) -> Money:
    """Add amounts of one currency; at least one."""
    first, *rest = amounts
    for amount in rest:
        first = first + amount
    return first
