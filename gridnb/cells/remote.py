"""A value that stayed at its site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from gridnb.errors import ReturnError
from gridnb.units import format_bytes

__all__ = ["Remote"]


class Remote:
    """Stands for a value that stayed in a cell process: too large, or it cannot be pickled.

    A later ``%%grid`` cell in the same process sees the value itself; :meth:`fetch` brings it
    here. Anything else that is tried with it is a :class:`~gridnb.errors.ReturnError`.

    Attributes
    ----------
    site
        Name of the site.
    nbytes
        Size of its pickle in bytes, or None when it has none.
    """

    def __init__(
        self,
        key: str,
        site: str,
        *,
        nbytes: int | None,
        kind: str,
        text: str,
        fetch: Callable[[str], Any],
    ) -> None:
        self._key, self.site, self.nbytes = key, site, nbytes
        self._kind, self._text, self._fetch = kind, text, fetch

    def fetch(self) -> Any:
        """Bring the value here, whatever its size.

        Raises
        ------
        ReturnError
            If it cannot be pickled.
        CellLost
            If the process that held it has ended.
        """
        return self._fetch(self._key)

    def __repr__(self) -> str:
        size = "cannot be pickled" if self.nbytes is None else format_bytes(self.nbytes)
        return f"<Remote {self._kind} at site {self.site}, {size}: {self._text}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from gridnb.cells.pickles import find_remote

        return find_remote, (self._key,)

    def _refuse(self, *_args: object, **_named: object) -> NoReturn:
        raise ReturnError(
            f"this {self._kind} stayed at site {self.site}; use it in a %%grid cell there"
            + (", or bring it here with .fetch()" if self.nbytes is not None else "")
        )

    def __getattr__(self, name: str) -> Any:
        # IPython and pickle ask for these and must hear that there are none.
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()


def _refused(self: Remote, *_args: object) -> NoReturn:
    self._refuse()


_OPERATORS = (
    "call iter next len bool getitem setitem delitem contains int float complex index enter exit "
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul "
    "rmatmul and rand or ror xor rxor lshift rshift neg pos abs invert lt le gt ge await array"
)
for _operator in _OPERATORS.split():
    setattr(Remote, f"__{_operator}__", _refused)
