"""One pickle for everything that travels together, so that aliases hold.

It differs from plain cloudpickle in six ways. A function of the notebook keeps
*the notebook's namespace* as its globals, instead of a copy of the few it reads:
at a site these are the run's namespace, back in the kernel the user's. Its code keeps
the name of its cell, for tracebacks. Closures that share a cell go on sharing it.
Exceptions travel without their ``__init__`` being called. Arrays that share memory go on
sharing it. A Dask future belongs to the client of where it arrives.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import pickle
import threading
import types
import typing
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cloudpickle

from gridnb.cells.arrays import Memory
from gridnb.cells.capture import global_names
from gridnb.cells.dask import adopt
from gridnb.cells.files import reduce_file
from gridnb.cells.frames import Buffer
from gridnb.cells.remote import Remote
from gridnb.cells.widgetstate import is_widget, reduce_widget

__all__ = ["BLOB", "CellPickler", "Context", "dump", "load", "loading"]

#: Buffers and pickles from this size (bytes) on are sent apart, and once.
BLOB = 64 * 1024

#: What cloudpickle writes instead of the file name of code.
_NAMELESS = "<dynamic-code>"


class Context(threading.local):
    """What marks in a pickle mean while it is loaded in this thread."""

    space: dict[str, Any] | None = None
    remote: Callable[[str], Any] | None = None


_CONTEXT = Context()


@contextmanager
def loading(space: dict[str, Any], remote: Callable[[str], Any]) -> Iterator[None]:
    """Load pickles whose functions get ``space`` as globals, and whose remotes ``remote`` finds."""
    before = _CONTEXT.space, _CONTEXT.remote
    _CONTEXT.space, _CONTEXT.remote = space, remote
    try:
        yield
    finally:
        _CONTEXT.space, _CONTEXT.remote = before


def _make_function(code: types.CodeType, name: str, cells: Any) -> types.FunctionType:
    space = _CONTEXT.space
    if space is None:
        raise pickle.UnpicklingError("a function of a notebook was loaded outside of a run")
    return types.FunctionType(code, space, name, None, cells)


def _set_function(function: types.FunctionType, state: tuple[dict[str, Any], Any]) -> None:
    own, slots = state
    function.__dict__.update(own)
    for name, value in slots.items():
        setattr(function, name, value)


def _make_cached(function: Any, name: str, text: str | None) -> functools.cached_property[Any]:
    made = functools.cached_property(function)
    made.attrname, made.__doc__ = name, text
    return made


def _make_cell() -> types.CellType:
    return types.CellType()


def _set_cell(cell: types.CellType, state: tuple[Any]) -> None:
    cell.cell_contents = state[0]


def find_remote(key: str) -> Any:
    """Load the mark of a value that stayed at a site."""
    if _CONTEXT.remote is None:
        raise pickle.UnpicklingError("a value that stayed at a site was loaded outside of a run")
    return _CONTEXT.remote(key)


def _make_exception(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


def _set_exception(error: BaseException, state: tuple[Any, ...]) -> None:
    own, error.__cause__, error.__context__, error.__suppress_context__, name = state
    error.__dict__.update(own)
    if isinstance(error, NameError | AttributeError):
        error.name = name


def _make_type(name: str, base: Any, module: str) -> Any:
    make: Any = typing.NewType
    made = make(name, base)
    made.__module__ = module
    return made


#: How to pickle what has no way of its own, or one that finds nothing elsewhere.
_REDUCE: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    functools.cached_property: lambda p: (_make_cached, (p.func, p.attrname, p.__doc__)),
    typing.NewType: lambda t: (_make_type, (t.__name__, t.__supertype__, t.__module__)),
    weakref.WeakKeyDictionary: lambda d: (weakref.WeakKeyDictionary, (dict(d),)),
    weakref.WeakValueDictionary: lambda d: (weakref.WeakValueDictionary, (dict(d),)),
}


class CellPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles for one direction of one run.

    Attributes
    ----------
    names
        Global names that the functions so far read.
    codes
        Code of these functions.
    modules
        Names of modules that classes, functions and modules so far come from.
    classes
        Classes of the notebook so far.
    remotes
        Values so far that stayed at a site.
    """

    def __init__(
        self,
        file: Any,
        *,
        owns: Callable[[dict[str, Any]], bool],
        keep: Callable[[pickle.PickleBuffer], bool | None] | None = None,
        known: Mapping[int, object] | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=keep)
        self.owns = owns
        self.names: set[str] = set()
        self.codes: list[types.CodeType] = []
        self.modules: set[str] = set()
        self.classes: list[type] = []
        self.remotes: list[Remote] = []
        self._memory = memory
        if known is not None:
            # Only where needed: pickle calls it for every single object.
            self.persistent_id = lambda value: known.get(id(value))

    def reducer_override(self, obj: Any) -> Any:
        """Say how to pickle what cloudpickle would pickle otherwise."""
        if isinstance(obj, types.CellType):
            return self._reduce_cell(obj)
        self._note(obj)
        if isinstance(obj, BaseException):
            return _reduce_exception(obj)
        if isinstance(obj, types.CodeType):
            return self._reduce_code(obj)
        if obj is dataclasses.MISSING:
            return "MISSING"
        if isinstance(obj, io.IOBase):
            return reduce_file(obj)
        if type(obj).__module__ == "distributed.client" and type(obj).__name__ == "Future":
            return adopt, (obj.key,)
        if type(obj) in _REDUCE:
            return _REDUCE[type(obj)](obj)
        if is_widget(obj):
            return reduce_widget(obj)
        return self._reduce_view(obj) or super().reducer_override(obj)

    def _note(self, obj: Any) -> None:
        if isinstance(obj, types.ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, type | types.FunctionType):
            self.modules.add(getattr(obj, "__module__", None) or "")
            if isinstance(obj, type) and obj.__module__ == "__main__":
                self.classes.append(obj)
        elif type(obj) is Remote:
            self.remotes.append(obj)

    def _reduce_view(self, value: Any) -> Any | None:
        return None if self._memory is None else self._memory.reduce(value)

    def _reduce_code(self, code: types.CodeType) -> Any:
        make, arguments = self.dispatch_table[types.CodeType](code)
        return make, tuple(code.co_filename if a == _NAMELESS else a for a in arguments)

    def _reduce_cell(self, cell: types.CellType) -> Any:
        try:
            state = (cell.cell_contents,)
        except ValueError:
            return _make_cell, ()
        return _make_cell, (), state, None, None, _set_cell

    def _dynamic_function_reduce(self, func: types.FunctionType) -> Any:
        if not self.owns(func.__globals__):
            return super()._dynamic_function_reduce(func)
        self.names |= global_names(func.__code__)
        self.codes.append(func.__code__)
        slots = {
            "__qualname__": func.__qualname__,
            "__annotations__": func.__annotations__,
            "__kwdefaults__": func.__kwdefaults__,
            "__defaults__": func.__defaults__,
            "__module__": func.__module__,
            "__doc__": func.__doc__,
        }
        args = (func.__code__, func.__name__, func.__closure__)
        return _make_function, args, (dict(func.__dict__), slots), None, None, _set_function


def _reduce_exception(error: BaseException) -> Any:
    state = (
        {k: v for k, v in error.__dict__.items() if k != "_render_traceback_"},
        error.__cause__,
        error.__context__,
        error.__suppress_context__,
        error.name if isinstance(error, NameError | AttributeError) else None,
    )
    reduced = error.__reduce_ex__(4)
    plain = isinstance(reduced, tuple) and reduced[0] is type(error)
    if plain and isinstance(type(error).__init__, types.FunctionType):
        return _make_exception, (type(error), error.args), state, None, None, _set_exception
    if plain and isinstance(reduced, tuple):
        return (*reduced[:2], state, None, None, _set_exception)
    return NotImplemented


def dump(
    values: Iterable[Any],
    *,
    owns: Callable[[dict[str, Any]], bool],
    known: Mapping[int, object] | None = None,
    memory: Memory | None = None,
    large: bool = True,
) -> tuple[bytes, list[memoryview], CellPickler]:
    """Pickle several values into one stream with shared references.

    With ``large`` False everything is in the stream. Returns the stream, its large
    buffers, and the pickler with what it found out.
    """
    file, kept = io.BytesIO(), Buffers()
    pickler = CellPickler(file, owns=owns, keep=kept if large else None, known=known, memory=memory)
    for value in values:
        pickler.dump(value)
    return file.getvalue(), kept.views, pickler


class Buffers:
    """Collects the buffers of a pickle that are large enough to be sent apart."""

    def __init__(self) -> None:
        self.views: list[memoryview] = []

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < BLOB:
            return True
        self.views.append(view)
        return False


def load(
    stream: Buffer,
    buffers: Sequence[Buffer],
    count: int,
    *,
    known: Callable[[Any], Any] | None = None,
) -> list[Any]:
    """Load the ``count`` values of a stream; within :func:`loading`."""
    unpickler = _Unpickler(io.BytesIO(stream), buffers=buffers)
    if known is not None:
        unpickler.known = known
    return [unpickler.load() for _ in range(count)]


class _Unpickler(pickle.Unpickler):
    known: Callable[[Any], Any] | None = None

    def persistent_load(self, pid: Any) -> Any:
        if self.known is None:
            raise pickle.UnpicklingError(f"unknown reference {pid!r}")
        return self.known(pid)
