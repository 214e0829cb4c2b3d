"""A job that shows itself: its state, progress, output and cost, and a button that ends it.

The picture is HTML that is replaced in place, so that it also stands in a saved notebook; only
the button is a widget, and where there are none a line says what to write instead.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any, Protocol

from gridnb.units import Money, format_seconds
from gridnb.widgets import controls, html
from gridnb.widgets.display import shower
from gridnb.widgets.output import render, tail

__all__ = ["bundle", "show"]

EVERY = 0.4  # seconds between two updates at most
TICK = 1.0  # seconds after which the time goes on, if nothing else is new
COSTED = 4.0  # seconds between two looks at the cost
SETTLED = 2.6  # seconds after its end until its cost is final

#: Hides, in a notebook that is opened again, the place of a button that is no more.
_GONE = (
    "<style>.jp-OutputArea-child:has(.gridnb-job) + .jp-OutputArea-child:has(.jupyter-widgets)"
    ":not(:has(button)){display:none}</style>"
)

_DOTS = {
    "done": "var(--jp-success-color1,#388e3c)",
    "failed": "var(--jp-error-color1,#c62828)",
    "lost": "var(--jp-error-color1,#c62828)",
    "cancelled": "var(--jp-warn-color1,#f57c00)",
}


class Shown(Protocol):
    """What a view needs of a job."""

    id: str
    label: str
    on_change: list[Any]

    @property
    def messages(self) -> list[dict[str, Any]]: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def sites(self) -> list[str]: ...
    @property
    def done_of(self) -> tuple[int, int]: ...
    @property
    def free(self) -> bool: ...
    @property
    def cost(self) -> Money: ...
    @property
    def names(self) -> list[str]: ...
    def done(self) -> bool: ...
    def cancel(self) -> bool: ...


def bundle(
    job: Shown, cost: Money | None = None, *, settled: bool = True, hint: str = ""
) -> dict[str, str]:
    """Return what a job is now, as text and as HTML.

    Its cost is not final before it is `settled`; `hint` says what its button cannot do.
    """
    parts = _parts(job, job.cost if cost is None else cost, settled)
    text = "\n".join(x for x in (f"{job.label}: {' · '.join(parts)}", job.reason) if x)
    mark = _DOTS.get(job.state, "var(--jp-brand-color1,#1976d2)")
    body = f'<span style="color:{mark};font-size:.8em">●</span> <b>{html.safe(job.label)}</b>'
    body += "".join(html.muted(f" · {part}") for part in parts)
    finished, total = job.done_of
    if total > 1 and job.state in ("pending", "running"):
        body += f"<div>{html.bar(finished / total)}</div>"
    if job.reason:
        body += f"<div>{html.safe(job.reason)}</div>"
    body += render(job.messages)
    for line in filter(None, (_next(job), hint)):
        body += f"<div>{html.muted(line)}</div>"
    return {
        "text/plain": "\n".join(filter(None, (text, tail(_text(job)), _next(job)))),
        "text/html": html.block(f'<div class="gridnb-job">{body}</div>{_GONE}'),
    }


def _parts(job: Shown, cost: Money, settled: bool) -> list[str]:
    finished, total = job.done_of
    parts = [job.state, format_seconds(round(job.seconds, 1))]
    if total > 1:
        parts.append(f"{finished} of {total}")
    if job.sites:
        parts.append(", ".join(job.sites))
    parts.append("free" if job.free else f"{'' if settled else '≈ '}{cost}")
    return parts


def _text(job: Shown) -> str:
    return "".join(m["text"] for m in job.messages if m["op"] == "stream")


def _next(job: Shown) -> str:
    """Say what can be done with it now."""
    short = job.id.partition("-")[2]
    if not job.done():
        return (
            f"goes on without this notebook · %grid attach {short} comes back to it · "
            f"%grid cancel {short} ends it"
        )
    if job.state == "done":
        named = [name for name in job.names if not name.startswith("_")]
        more = f" and {len(named) - 5} more names" if len(named) > 5 else ""
        names = f" and {', '.join(named[:5])}{more}" if named else ""
        return f"%grid attach {short} brings its output, result{names} into the notebook"
    return f"%grid attach {short} shows all of its output"


class _View:
    """One picture of a job in a cell."""

    def __init__(self, job: Shown, shell: Any) -> None:
        self._job, self._id = job, uuid.uuid4().hex
        self._show = shower(shell)
        self._new = threading.Event()
        self._cost, self._costed = job.cost, time.monotonic()
        self._show(bundle(job, self._cost, settled=job.done()), self._id, False)
        if job.done():
            return
        self._button = self._offer(shell)
        self._shell = shell
        job.on_change.append(self._new.set)
        threading.Thread(target=self._follow, name=f"gridnb-view-{job.id}", daemon=True).start()

    def _offer(self, shell: Any) -> Any:
        """Show the button that ends it; None where there are no widgets."""
        if not controls.widgets(shell):
            return None
        from IPython.display import display

        button: Any = controls.Button(description="Cancel", layout={"width": "7em"})
        button.on_click(self._cancel)
        display(button, display_id=self._id + "-button")
        return button

    def _cancel(self, button: Any) -> None:
        button.disabled, button.description = True, "Cancelling…"
        threading.Thread(target=self._job.cancel, name="gridnb-cancel", daemon=True).start()

    def _follow(self) -> None:
        while not self._job.done():
            self._new.wait(TICK)
            self._new.clear()
            self._update()
            time.sleep(EVERY)
        self._job.on_change.remove(self._new.set)
        if self._button is not None:
            # In its place a saved notebook would show that there is no such widget any more.
            self._show({"text/plain": "", "text/html": ""}, self._id + "-button", True)
            self._button.close()
        self._costed = 0.0
        self._update()
        time.sleep(SETTLED)
        self._costed = 0.0
        self._update(settled=True)

    def _update(self, *, settled: bool = False) -> None:
        if time.monotonic() - self._costed > COSTED:
            self._cost, self._costed = self._job.cost, time.monotonic()
        hint = ""
        if self._button is not None and not self._job.done() and not controls.live(self._shell):
            hint = controls.HINT
        shown = bundle(self._job, self._cost, settled=settled, hint=hint)
        self._show(shown, self._id, True)


def show(job: Shown, shell: Any) -> None:
    """Show a job in the cell that is running, and keep the picture up to date to its end."""
    if hasattr(shell, "kernel"):
        _View(job, shell)
    else:
        # A terminal cannot replace what it has shown.
        shell.display_pub.publish({"text/plain": bundle(job)["text/plain"]})
