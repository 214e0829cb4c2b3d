"""What is on offer: sites, their offers and prices, and the links between sites.

All of it is frozen, and goes through JSON without loss (prices as text, never
float). Times of sites (start delay, term, minimum) count in *billed* time: in a
catalog with a ``time_scale`` of 60 a real second is a billed minute. Links are
in real time, since the bytes that they slow down are real.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gridnb.catalog.problems import did_you_mean, mistake
from gridnb.errors import CatalogError, RequestError
from gridnb.units import exact, parse_bytes, parse_seconds

__all__ = [
    "Bandwidth",
    "Link",
    "Model",
    "Offer",
    "RateCard",
    "Seconds",
    "Site",
    "Size",
    "Whole",
    "reader",
]

_GIB = 2**30


class Model(BaseModel):
    """A frozen document in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def to_json(self) -> str:
        """Write it as JSON, from which the same document can be read."""
        return self.model_dump_json()


def reader(parse: Callable[[Any], Any]) -> BeforeValidator:
    """Read text with a function of :mod:`gridnb.units`, whose error becomes the document's."""

    def read(value: object) -> object:
        try:
            return parse(value)
        except RequestError as error:
            raise mistake(str(error).partition(": ")[2] or str(error)) from None

    return BeforeValidator(read)


def _number(value: object) -> object:
    if isinstance(value, bool):  # YAML's yes and no would otherwise be 1 and 0
        raise ValueError("a truth value is not a number")
    return value


def _bandwidth(value: Any) -> int:
    text = value.strip() if isinstance(value, str) else value
    try:
        return parse_bytes(text.removesuffix("/s") if isinstance(text, str) else text)
    except RequestError:
        raise RequestError(
            f"bandwidth: {value!r} is not a bandwidth; write it like '25 MB/s'"
        ) from None


Whole = Annotated[int, BeforeValidator(_number)]
Size = Annotated[int, reader(parse_bytes)]
Seconds = Annotated[float, reader(parse_seconds)]
Bandwidth = Annotated[int, reader(_bandwidth)]
_Number = Annotated[Decimal, BeforeValidator(_number)]
_Price = Annotated[_Number, Field(ge=0, max_digits=18, decimal_places=9)]

_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"
_A_NAME = "a name of letters, digits, '-' and '_' that begins with a letter"
_A_PRICE = "an amount of at least 0 with at most nine decimals, like 0.05"
_A_TIME = "a time, like '30s' or '10 min'"


class RateCard(Model):
    """What a site asks for its resources, in the site's currency.

    Attributes
    ----------
    core_hour, gib_hour, gpu_hour
        For an hour of a core, of a GiB of memory, of a GPU.
    per_start
        For each start of a worker.
    minimum_seconds
        The shortest time that is paid for once a worker has started, in seconds.
    rounding_seconds
        Paid time is rounded up to a multiple of it, in seconds.
    egress_gib
        For a GiB that leaves the site.
    """

    core_hour: _Price = Field(default=Decimal(0), description=_A_PRICE)
    gib_hour: _Price = Field(default=Decimal(0), description=_A_PRICE)
    gpu_hour: _Price = Field(default=Decimal(0), description=_A_PRICE)
    per_start: _Price = Field(default=Decimal(0), description=_A_PRICE)
    minimum_seconds: Whole = Field(
        default=0, ge=0, description="a whole number of seconds of at least 0"
    )
    rounding_seconds: Whole = Field(
        default=1, ge=1, description="a whole number of seconds of at least 1"
    )
    egress_gib: _Price = Field(default=Decimal(0), description=_A_PRICE)

    def ratio(self, cores: int, memory: int, gpus: int = 0) -> Fraction:
        """Return the price of an hour as an exact ratio, for comparing; memory in bytes."""
        gib = Fraction(memory, _GIB)
        rate = Fraction(self.core_hour) * cores + Fraction(self.gib_hour) * gib
        return rate + Fraction(self.gpu_hour) * gpus

    def rate(self, cores: int, memory: int, gpus: int = 0) -> Decimal:
        """Return the price of an hour, to the billionth; memory in bytes."""
        return exact(self.ratio(cores, memory, gpus))


class Offer(Model):
    """A worker's shape at a site.

    Attributes
    ----------
    cores, memory, gpus
        Of each worker; memory in bytes (text like ``"4 GiB"`` is read).
    spot
        The site may take the worker back.
    price
        For an hour of a worker; without it, by the site's rate card.
    start_delay
        From asking for a worker to its readiness, in billed seconds.
    speed
        Relative to the fastest, above 0 and at most 1.
    count
        How many workers of it there are at most.
    """

    name: str = Field(pattern=_NAME, description=_A_NAME)
    cores: Whole = Field(ge=1, description="a whole number of at least 1")
    memory: Size = Field(gt=0, description="a size, like '4 GiB'")
    gpus: Whole = Field(default=0, ge=0, description="a whole number of at least 0")
    spot: bool = Field(default=False, description="true or false")
    price: _Price | None = Field(default=None, description=_A_PRICE)
    start_delay: Seconds = Field(default=0.0, ge=0, description=_A_TIME)
    speed: _Number = Field(
        default=Decimal(1),
        gt=0,
        le=1,
        decimal_places=9,
        description="a number above 0 and at most 1",
    )
    count: Whole = Field(1, ge=1, description="a whole number of at least 1")


class Site(Model):
    """A place that can run workers.

    Attributes
    ----------
    provider
        How its workers are started: the name of an entry point of ``gridnb.providers``.
    owner, region, country
        Whose it is, and where; country as an ISO 3166 code of two letters.
    currency
        ``GD`` (simulated) or an ISO 4217 code; all its prices are in it.
    max_workers
        How many workers it runs at once, over all its offers; None for no limit of its own.
    term
        The time that is paid for at once, in billed seconds; None for the configured one.
    preload
        Modules that its workers import ahead of work.
    """

    name: str = Field(pattern=_NAME, description=_A_NAME)
    provider: str = Field(pattern=_NAME, description="a provider's name, like 'local'")
    owner: str = Field(default="you", min_length=1, description="the name of the firm or person")
    region: str = Field(default="here", min_length=1, description="a region, like 'eu-north'")
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="a code of two letters in quotes, like 'DE'",
    )
    currency: str = Field(
        default="GD", pattern=r"^[A-Z]{2,3}$", description="a code, like GD or USD"
    )
    rate_card: RateCard = Field(
        default_factory=RateCard, description="prices, like {core_hour: 0.05}"
    )
    offers: tuple[Offer, ...] = Field(min_length=1, description="a list of at least one offer")
    max_workers: Whole | None = Field(
        default=None, ge=0, description="a whole number of at least 0"
    )
    labels: dict[str, str] = Field(default={}, description="text by name, like {tier: gold}")
    term: Seconds | None = Field(default=None, gt=0, description=_A_TIME + ", above 0")
    preload: tuple[str, ...] = Field(
        default=(), description="a list of modules, like [numpy, pandas]"
    )

    @property
    def capacity(self) -> int:
        """How many workers can run here at once."""
        offered = sum(offer.count for offer in self.offers)
        return offered if self.max_workers is None else min(offered, self.max_workers)

    @property
    def free(self) -> bool:
        """Whether nothing here is ever charged: neither workers nor bytes that leave."""
        card = self.rate_card
        return not (card.per_start or card.egress_gib or any(map(self.ratio, self.offers)))

    @property
    def simulated(self) -> bool:
        """Whether its speed, delays, links and prices are modelled."""
        return self.provider == "simulated"

    def offer(self, name: str) -> Offer:
        """Return an offer by its name.

        Raises
        ------
        CatalogError
            If there is none; says the nearest name.
        """
        for offer in self.offers:
            if offer.name == name:
                return offer
        hint = did_you_mean(name, (offer.name for offer in self.offers))
        raise CatalogError(f"site {self.name} has no offer {name!r}; {hint}")

    def price(self, offer: Offer | str) -> Decimal:
        """Return the price of an hour of one worker, in the site's currency, to the billionth."""
        return exact(self.ratio(offer))

    def ratio(self, offer: Offer | str) -> Fraction:
        """Return the price of an hour of one worker as an exact ratio, for comparing."""
        shape = self.offer(offer) if isinstance(offer, str) else offer
        if shape.price is not None:
            return Fraction(shape.price)
        return self.rate_card.ratio(shape.cores, shape.memory, shape.gpus)


class Link(Model):
    """What lies between two sites, the same in both directions.

    Attributes
    ----------
    between
        The names of the two sites; the same name twice means the network inside a site.
    latency
        One way, in real seconds (text like ``"20ms"`` is read).
    bandwidth
        Bytes a real second, shared by all transfers (text like ``"25 MB/s"`` is read); None
        for unlimited.
    price
        For a GiB; None for the egress price of the site that it leaves.
    """

    between: tuple[str, str] = Field(description="the names of two sites, like [alpha, beta]")
    latency: Seconds = Field(default=0.0, ge=0, description="a time, like '20ms'")
    bandwidth: Bandwidth | None = Field(
        default=None, gt=0, description="a bandwidth, like '25 MB/s'"
    )
    price: _Price | None = Field(default=None, description=_A_PRICE)
