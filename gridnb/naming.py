"""Naming sites for work: ``sites=`` at submission, or Dask's annotation ``sites``.

Dask loses annotations of arrays and bags when it optimizes their graphs. Work
that was to stay at a site must not run elsewhere without a word, so that is an
error here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any

from dask.base import annotate, get_annotations

from gridnb.errors import RequestError

__all__ = ["SITES", "Naming", "site_names"]

#: The annotation that names the sites where a task may run.
SITES = "sites"

_Sites = str | Collection[str] | None
_asked: ContextVar[list[str] | None] = ContextVar("gridnb_sites", default=None)


def site_names(value: Any) -> frozenset[str]:
    """Read what names sites: a name, or several.

    Raises
    ------
    RequestError
        If it is neither.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Collection) or not all(isinstance(n, str) and n for n in names):
        raise RequestError(f"sites are given by name, like ['alpha', 'beta'], not as {value!r}")
    return frozenset(names)


class Naming:
    """Makes a Dask client take ``sites=``: the work runs there and nowhere else.

    To be put before `distributed.Client` among the bases of a class. `submit`, `map`,
    `compute`, `persist` and `get` take a site's name or several; so does ``x.compute(sites=…)``
    of a collection, and ``dask.annotate(sites=…)`` around any of them.

    Attributes
    ----------
    known_sites
        Names of the sites that there are, if that is known; others are errors then.
    """

    known_sites: Collection[str] | None = None

    def submit(self, *args: Any, sites: _Sites = None, **kwargs: Any) -> Any:
        """See `distributed.Client.submit`."""
        return self._call("submit", sites, args, kwargs)

    def map(self, *args: Any, sites: _Sites = None, **kwargs: Any) -> Any:
        """See `distributed.Client.map`."""
        return self._call("map", sites, args, kwargs)

    def compute(self, *args: Any, sites: _Sites = None, **kwargs: Any) -> Any:
        """See `distributed.Client.compute`."""
        return self._call("compute", sites, args, kwargs)

    def persist(self, *args: Any, sites: _Sites = None, **kwargs: Any) -> Any:
        """See `distributed.Client.persist`."""
        return self._call("persist", sites, args, kwargs)

    def get(self, *args: Any, sites: _Sites = None, **kwargs: Any) -> Any:
        """See `distributed.Client.get`."""
        return self._call("get", sites, args, kwargs)

    def _call(self, name: str, sites: _Sites, args: Any, kwargs: Any) -> Any:
        with _at_sites(sites):
            return getattr(super(), name)(*args, **kwargs)

    def _graph_to_futures(self, expr: Any, *args: Any, **kwargs: Any) -> Any:
        client: Any = super()
        with _named(expr, self.known_sites):
            return client._graph_to_futures(expr, *args, **kwargs)


@contextmanager
def _at_sites(sites: _Sites) -> Iterator[None]:
    """Have what is submitted in this block run at these sites; None leaves it as it is."""
    if sites is None:
        yield
        return
    token = _asked.set(sorted(site_names(sites)))
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def _named(expr: Any, known: Collection[str] | None) -> Iterator[None]:
    """Annotate a graph that is sent in this block with the sites that were asked for.

    `known` are the sites that there are, if that is known.

    Raises
    ------
    RequestError
        If there is no such site, or if the graph was annotated where Dask loses it.
    """
    asked = _asked.get()
    if asked is None:
        asked = sorted(site_names(get_annotations().get(SITES, ())))
    _check(asked, known)
    _check(_kept(expr), known)
    if not asked:
        yield
        return
    with annotate(**{SITES: asked}):
        yield


def _check(names: Collection[str], known: Collection[str] | None) -> None:
    for name in names:
        if known is not None and name not in known:
            near = get_close_matches(name, known, 1) or sorted(known)
            raise RequestError(f"there is no site {name!r}; did you mean {', '.join(near)}?")


def _kept(expr: Any) -> set[str]:
    """Return the sites that a graph's own annotations name; all of them must outlive Dask."""
    annotated: set[str] = set()
    for node in expr.walk():
        # Any other attribute of an expression of frames may be looked for among its columns.
        graph = node.hlg if hasattr(type(node), "hlg") else None
        for layer in graph.layers.values() if graph is not None else ():
            if layer.annotations and SITES in layer.annotations:
                value = layer.annotations[SITES]
                values = map(value, layer) if callable(value) else (value,)
                for each in values:
                    if isinstance(each, str | Collection):
                        annotated |= site_names(each)
    if not annotated:
        return annotated
    kept = expr.__dask_annotations__().get(SITES, {}).values()
    lost = annotated.difference(*map(site_names, kept))
    if lost:
        raise RequestError(
            f"Dask loses the annotation sites={sorted(lost)} when it optimizes this graph: "
            "name them when it is computed, like x.compute(sites=['alpha'])"
        )
    return annotated
