"""A value that stayed at its site."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from gridnb.errors import CellError, CellLost, ReturnError
from gridnb.units import format_bytes

if TYPE_CHECKING:
    from gridnb.cells.kept import Kept

__all__ = ["Description", "NotHere", "Remote", "describe", "in_one_line"]


class NotHere(ReturnError, TypeError, AttributeError):
    """Something was tried with a value that stayed at a site: it has to be fetched first."""


class Remote:
    """Stands for a value that stayed in a cell process: too large, or it cannot be pickled.

    A later ``%%grid`` cell sees the value itself, and runs where it is; :meth:`fetch` brings it
    here. Anything else that is tried with it is a :class:`~gridnb.errors.ReturnError`.

    Attributes
    ----------
    nbytes
        Size of its pickle in bytes, or None when it has none.
    """

    def __init__(self, key: str, kept: Kept, *, nbytes: int | None, kind: str, text: str) -> None:
        self._key, self._kept, self.nbytes = key, kept, nbytes
        self._kind, self._text = kind, text
        self._were = self.sites

    @property
    def sites(self) -> list[str]:
        """Where it is held now; empty when it is lost."""
        return list(dict.fromkeys(place.site for place in self._kept.places(self._key)))

    @property
    def site(self) -> str:
        """The first of its sites, or the one that it was lost at."""
        self._were = self.sites or self._were
        return self._were[0]

    def fetch(self) -> Any:
        """Bring the value here, whatever its size.

        Raises
        ------
        ReturnError
            If it cannot be pickled.
        CellLost
            If all processes that held it have ended.
        """
        try:
            return self._fetch()
        except CellError as error:
            raise in_one_line(error)  # noqa: B904 - it is the same error

    def _fetch(self) -> Any:
        for place in self._kept.places(self._key):
            with suppress(CellLost):  # another place may have it
                return place.fetch(self._key)
        raise self.lost()

    def lost(self) -> CellLost:
        """Return the error that says where it was and what to do."""
        return CellLost(
            f"this {self._kind} was kept at {', '.join(self._were)}, and the process that held it "
            "has ended; run the cell again that made it (--replicas 2 keeps results at two sites)"
        )

    def __repr__(self) -> str:
        it = describe(self)
        return f"<Remote {it.kind} {it.where}, {it.size}{it.price}: {it.text}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from gridnb.cells.pickles import find_remote

        return find_remote, (self._key,)

    def _refuse(self, *_args: object, **_named: object) -> NoReturn:
        text = f"this {self._kind} stayed at site {self.site}; use it in a %%grid cell there"
        fetch = ", or bring it here with .fetch()" if self.nbytes is not None else ""
        raise in_one_line(NotHere(text + fetch))

    def __getattr__(self, name: str) -> Any:
        # IPython and pickle ask for these and must hear that there are none.
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()


class Description(NamedTuple):
    """What is shown of a :class:`Remote`, in words; `price` begins with a comma or is empty."""

    kind: str
    where: str
    size: str
    price: str
    text: str


def describe(remote: Remote) -> Description:
    """Say what a value is, where, how large, and what it costs to bring it here."""
    sites = remote.sites
    remote._were = sites or remote._were
    return Description(
        remote._kind,
        f"{'at' if sites else 'lost at'} {', '.join(remote._were)}",
        "cannot be pickled" if remote.nbytes is None else format_bytes(remote.nbytes),
        "" if remote.nbytes is None else remote._kept.price(remote._were[0]),
        remote._text,
    )


def in_one_line(error: CellError) -> CellError:
    """Let IPython show an error without the frames of this package."""
    line = f"\x1b[0;31m{type(error).__name__}\x1b[0m: {error}"
    error._render_traceback_ = lambda *_: [line]  # type: ignore[attr-defined]
    return error


def _refused(self: Remote, *_args: object) -> NoReturn:
    self._refuse()


_OPERATORS = (
    "call iter next len bool getitem setitem delitem contains int float complex index enter exit "
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul "
    "rmatmul and rand or ror xor rxor lshift rshift neg pos abs invert lt le gt ge await array"
)
for _operator in _OPERATORS.split():
    setattr(Remote, f"__{_operator}__", _refused)
