"""Settings: the section ``gridnb`` of :mod:`dask.config`, with defaults and checks.

They come from ``~/.config/dask/gridnb.yaml``, from variables like
``DASK_GRIDNB__LEASE__TERM``, or from ``dask.config.set({"gridnb.lease.term": "2 min"})``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from gridnb.errors import ConfigError, RequestError
from gridnb.units import parse_bytes, parse_seconds

__all__ = ["Settings", "settings"]


def _checked(parse: Any) -> Any:
    def check(value: Any) -> Any:
        try:
            return parse(value)
        except RequestError as error:
            raise ValueError(str(error)) from error

    return check


Seconds = Annotated[float, BeforeValidator(_checked(parse_seconds))]
Size = Annotated[int, BeforeValidator(_checked(parse_bytes))]


def _dashed(name: str) -> str:
    return name.replace("_", "-")


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_dashed, populate_by_name=True
    )


class LeaseSettings(_Section):
    """How leases are paid and when they end.

    term
        Length of a paid term, in billed seconds, where a site does not say its own.
    idle
        A paid lease without work ends after this many billed seconds, and never
        before `idle_least` real ones.
    egress_chunk
        Bytes for which egress money is set aside at a time.
    rebuy
        Whether what a lease has lost unasked is bought again elsewhere, within its cap.
    """

    term: Seconds = 300.0
    idle: Seconds = 300.0
    idle_least: Seconds = 60.0
    egress_chunk: Size = 64 * 2**20
    rebuy: bool = True


class HubSettings(_Section):
    """The process that owns a grid.

    linger
        Seconds without a client and without work after which it drains and ends.
    tick
        Seconds between two ratings of what was used.
    start_timeout
        Seconds that a hub may take to start.
    silence
        Seconds without a word from a guard after which its worker counts as lost.
    """

    linger: Seconds = 300.0
    tick: Seconds = 1.0
    start_timeout: Seconds = 60.0
    silence: Seconds = 20.0


class RunSettings(_Section):
    """What is kept of jobs.

    keep
        Output and result of a job can be had for so many seconds after its end.
    """

    keep: Seconds = 14 * 86400.0


class StageSettings(_Section):
    """Files that are staged.

    limit
        Bytes that they may take at each site; beyond it the least recently used goes.
    """

    limit: Size = 10 * 2**30


class Settings(_Section):
    """All settings of gridnb.

    catalog
        What ``%grid connect`` and a bare ``%%grid`` use: a name or a path.
    budget
        The cap of a bare ``%%grid`` (like ``"5 GD"``), or None.
    cores
        Cores that a bare ``%%grid`` asks for.
    confirm
        Whether the first lease in real money of a session asks (``ask``) or not (``never``).
    fetch_limit, compare_limit
        Bytes up to which results come back, and captured values are looked at for changes.
    ledger
        URL of the ledger, or None for the file in the user's data directory.
    """

    catalog: str = "demo"
    budget: str | None = None
    cores: int = 2
    confirm: Literal["ask", "never"] = "ask"
    fetch_limit: Size = 256 * 2**20
    compare_limit: Size = 256 * 2**20
    ledger: str | None = None
    lease: LeaseSettings = LeaseSettings()
    hub: HubSettings = HubSettings()
    runs: RunSettings = RunSettings()
    stage: StageSettings = StageSettings()


def settings() -> Settings:
    """Read the settings now.

    Raises
    ------
    ConfigError
        If a key is misspelt or a value of the wrong kind: names key and remedy.
    """
    import dask.config

    section = dask.config.get("gridnb", {}) or {}
    try:
        return Settings.model_validate(_dash_keys(section))
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def _dash_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_dashed(str(key)): _dash_keys(item) for key, item in value.items()}
    return value


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    *above, key = [str(part) for part in first["loc"]]
    where = ".".join(["gridnb", *above, key])
    if first["type"] != "extra_forbidden":
        return f"setting {where}: {first['msg'].removeprefix('Value error, ')}"
    model: type[BaseModel] = Settings
    for part in above:
        model = type(getattr(model(), part))
    known = [_dashed(name) for name in model.model_fields]
    near = get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"setting {where}: there is no such key; {hint}"
