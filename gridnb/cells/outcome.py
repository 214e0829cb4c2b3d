"""What came back from a run, and binding it in the notebook."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gridnb.cells.ambient import restore, title
from gridnb.cells.changes import update
from gridnb.cells.nodes import Node
from gridnb.errors import CellError, ReturnError

__all__ = ["Outcome", "RemoteFailure", "add_note", "apply", "fill", "make_error"]


class RemoteFailure(CellError):
    """An error of the cell whose own object could not come back; has its name and text."""


@dataclass
class Outcome:
    """A run's outcome; nothing local has changed before :func:`apply`.

    Attributes
    ----------
    ok
        False when the body ended with an error.
    has, value, data, metadata
        Value of the last expression and its mime bundle, made at the site; `has` is False
        when there is none.
    error
        The exception, ready to be raised here, or None.
    error_name, error_text, rendered
        Its class, its text, and its traceback as the site rendered it (ANSI).
    assigned
        Values by name.
    deleted, updated, rebound
        Names that the cell deleted; whose objects changed in place; whose objects were
        replaced by new ones, since they could not be changed in place.
    remote
        Names (``Out`` for the value) whose values stayed at the site.
    unlooked
        Names whose values were too large to be compared.
    sent_bytes, received_bytes
        On the wire.
    unlike, kept_back
        Names in local modules (``helpers.LIMIT``) that were not at the site as they are here;
        that the cell changed, at the site only.
    altered
        Keys of kept values that the cell changed, of those that were watched.
    ambient
        What changed around the cell: random generators, settings, its working directory.
    told
        More that a user should know, in a sentence each.
    unloadable
        Why some of them could not be loaded here; empty otherwise.
    threads
        Names of threads of the body that go on at the site.
    seconds, cpu_seconds
        That the body took; with its children.
    """

    ok: bool = True
    has: bool = False
    value: Any = None
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    error_name: str = ""
    error_text: str = ""
    rendered: list[str] = field(default_factory=list)
    assigned: dict[str, Any] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    rebound: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    unlooked: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    kept_back: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    ambient: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    unloadable: str = ""
    threads: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    received_bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    contents: list[tuple[Any, str, Any]] = field(default_factory=list, repr=False)
    replaced: list[tuple[Any, Any]] = field(default_factory=list, repr=False)

    def take(self, payload: dict[str, Any], nodes: Sequence[Node]) -> None:
        """Fill in what was in the pickle."""
        from gridnb.cells.remote import Remote

        self.assigned = payload["assigned"]
        self.contents = [(nodes[i].value, kind, new) for i, kind, new in payload["contents"]]
        self.replaced = [(nodes[i].value, new) for i, new in payload["replaced"]]
        names = [nodes[i].name for i, _, _ in payload["contents"]]
        self.rebound = sorted({*self.rebound, *(nodes[i].name for i, _ in payload["replaced"])})
        self.updated = [n for n in dict.fromkeys(names) if n not in self.rebound]
        if payload["result"]:
            self.value = payload["result"][0]
        self.remote = [n for n, v in self.assigned.items() if type(v) is Remote]
        if type(self.value) is Remote:
            self.remote.append("Out")


def fill(
    outcome: Outcome, header: dict[str, Any], payload: dict[str, Any], nodes: Sequence[Node]
) -> None:
    """Fill in what an outcome message said, and what was in its pickle."""
    outcome.has, outcome.data, outcome.metadata = header["has"], header["data"], header["metadata"]
    outcome.deleted, outcome.rebound = header["deleted"], header["rebound"]
    outcome.threads = header["threads"]
    outcome.ambient, outcome.altered = header["ambient"], header["altered"]
    outcome.told += header["told"]
    outcome.unlike, outcome.kept_back = header["unlike"], header["kept_back"]
    outcome.unlooked = list(dict.fromkeys(nodes[i].name for i in header["unlooked"]))
    outcome.seconds, outcome.cpu_seconds = header["seconds"], header["cpu_seconds"]
    outcome.take(payload, nodes)
    described = header["error"]
    if described is not None:
        outcome.ok = False
        outcome.rendered = header["rendered"]
        outcome.error_name, outcome.error_text = described["name"], described["text"]
        outcome.error = make_error(payload["error"], described, outcome.rendered)


def apply(outcome: Outcome, namespace: dict[str, Any]) -> None:
    """Bind, delete and change in ``namespace`` what the run did; once for each outcome.

    Raises
    ------
    ReturnError
        If an object here refuses a change that its counterpart at the site took.
    """
    failed: list[str] = []
    for local, kind, content in outcome.contents:
        try:
            update(local, kind, content)
        except Exception as error:  # noqa: BLE001 - user classes raise what they like
            failed.append(f"{type(local).__name__} ({error})")
    outcome.contents.clear()
    refused = [title(name) for name in restore(outcome.ambient)]
    if refused:
        outcome.told.append(f"changed by the cell, at the site only: {', '.join(refused)}")
    for name in outcome.deleted:
        namespace.pop(name, None)
    new = {id(old): value for old, value in outcome.replaced}
    if new:
        # Names that the cell did not read may mean the same object.
        namespace.update({n: new[id(v)] for n, v in namespace.items() if id(v) in new})
    namespace.update(outcome.assigned)
    if failed:
        raise ReturnError(
            f"changes made at the site do not fit the objects here: {', '.join(failed)}; "
            "return a new object from the cell instead"
        )


def make_error(
    error: BaseException | None, described: dict[str, Any], rendered: list[str]
) -> BaseException:
    """The exception to raise here: the site's own, or one that looks like it."""
    if error is None:
        error = _stand_in(described)
    try:
        error._render_traceback_ = lambda *_: list(rendered)  # type: ignore[attr-defined]
    except AttributeError:
        # A class with slots: it shows its local traceback.
        return error
    return error


def add_note(error: BaseException, text: str) -> None:
    """Add a line to an error, below its traceback as the site rendered it, too."""
    error.add_note(text)
    render = getattr(error, "_render_traceback_", None)
    if render is not None:
        lines = [*render(), text]
        error._render_traceback_ = lambda *_: lines  # type: ignore[attr-defined]


def _stand_in(described: dict[str, Any]) -> BaseException:
    """An exception of the same name, under the same builtin bases."""
    base: type[BaseException] = Exception
    for name in described["bases"]:
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            base = found
            break
    try:
        made = type(described["name"], (RemoteFailure, base), {})
        error = made(described["text"])
    except TypeError:
        return RemoteFailure(f"{described['name']}: {described['text']}")
    return error  # type: ignore[no-any-return]
