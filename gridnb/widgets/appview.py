"""What an application shows: form, price, two buttons, and below them what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gridnb.widgets import controls, html

if TYPE_CHECKING:
    from gridnb.widgets.form import Form

__all__ = ["AppView"]

_BOX = (
    "border:1px solid var(--jp-error-color1,#c62828);border-radius:4px;padding:8px 12px;"
    "overflow-wrap:anywhere"
)
_PRE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:.92em;margin:6px 0 0;"
    "font-family:var(--jp-code-font-family,monospace);background:transparent;color:inherit"
)


class AppView:
    """The widgets; what is set is shown, from any thread."""

    def __init__(self, title: str, about: str, form: Form) -> None:
        import ipywidgets

        self.run: Any = controls.Button(description="Run", button_style="primary")
        self.cancel: Any = controls.Button(description="Cancel", disabled=True)
        self._form = form
        self._price, self._status, self._error = (ipywidgets.HTML() for _ in range(3))
        self._output, self._result = (
            ipywidgets.Output(layout={"max_width": "100%", "overflow": "auto"}) for _ in range(2)
        )
        head = f'<div style="font-size:1.5em;font-weight:600">{html.safe(title)}</div>'
        head += f"<div>{html.muted(about)}</div>" if about else ""
        self.box: Any = ipywidgets.VBox(
            [
                ipywidgets.HTML(html.block(head)),
                *form.widgets,
                self._price,
                ipywidgets.HBox([self.run, self.cancel]),
                self._status,
                self._error,
                self._output,
                self._result,
            ],
            layout={"max_width": "60em", "padding": "4px 8px", "overflow": "hidden"},
        )
        self.box.add_class("gridnb-app")

    def add(self, widget: Any) -> None:
        """Put one more widget at the end."""
        self.box.children = (*self.box.children, widget)

    def price(self, parts: Sequence[str], tags: Sequence[tuple[str, str]]) -> None:
        """Show what a run would cost."""
        first, *rest = parts
        body = f"<b>{html.safe(first)}</b>" + "".join(html.muted(f" · {each}") for each in rest)
        body += "".join(f" {html.tag(*each)}" for each in tags)
        self._price.value = html.block(f'<div class="gridnb-price">{body}</div>')

    def ready(self, label: str, *, enabled: bool) -> None:
        """Nothing runs: what stands on the button, and whether it can be pressed."""
        self._form.disable(False)
        self.cancel.disabled, self.cancel.description = True, "Cancel"
        self.run.description, self.run.disabled = label, not enabled

    def busy(self) -> None:
        """A run begins: what an earlier one has left goes."""
        self._form.disable(True)
        self.run.disabled, self.run.description = True, "Running…"
        self.cancel.disabled = False
        self._error.value = ""
        self._output.outputs = self._result.outputs = ()

    def cancelling(self) -> None:
        """The run is being ended."""
        self.cancel.disabled, self.cancel.description = True, "Cancelling…"

    def status(self, state: str, parts: Sequence[str], colour: str) -> None:
        """Show how a run stands, or how it went."""
        dot = f'<span style="color:{colour};font-size:.8em">●</span>'
        body = f'{dot} <b style="font-weight:500">{html.safe(state)}</b>'
        body += "".join(html.muted(f" · {each}") for each in parts)
        style = "font-variant-numeric:tabular-nums;white-space:normal"
        shown = f'<div class="gridnb-charge" style="{style}">{body}</div>'
        self._status.value = html.block(shown)

    def output(self, messages: Sequence[dict[str, Any]]) -> None:
        """Show what a run has put out so far."""
        self._output.outputs = tuple(_outputs(messages))

    def result(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Show what came of it."""
        shown = {"output_type": "display_data", "data": data, "metadata": metadata}
        self._result.outputs = (shown,)

    def error(self, text: str, details: str = "") -> None:
        """Show what went wrong, in a box; details can be opened."""
        kind, colon, rest = text.partition(": ")
        body = f"<b>{html.safe(kind)}{colon}</b>{html.safe(rest)}" if colon else html.safe(text)
        if details:
            body += f"<details><summary>{html.muted('details')}</summary>"
            body += f'<pre style="{_PRE}">{html.safe(details)}</pre></details>'
        self._error.value = html.block(f'<div class="gridnb-error" style="{_BOX}">{body}</div>')

    def on_run(self, pressed: Callable[[], None]) -> None:
        """Say what the first button does."""
        self.run.on_click(lambda _: pressed())

    def on_cancel(self, pressed: Callable[[], None]) -> None:
        """Say what the second button does."""
        self.cancel.on_click(lambda _: pressed())


def _outputs(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write messages of a run as outputs of a cell: streams joined, displays updated in place."""
    shown: list[dict[str, Any]] = []
    places: dict[str, dict[str, Any]] = {}
    clear = False
    for message in messages:
        if message["op"] == "clear" and message["wait"]:
            clear = True
            continue
        if clear or message["op"] == "clear":
            shown, places, clear = [], {}, False
        if message["op"] in ("stream", "note"):
            _stream(shown, message)
        elif message["op"] == "display":
            _display(shown, places, message)
    return shown


def _stream(shown: list[dict[str, Any]], message: dict[str, Any]) -> None:
    name = message.get("name", "stderr")
    text = message["text"] + ("\n" if message["op"] == "note" else "")
    if shown and shown[-1]["output_type"] == "stream" and shown[-1]["name"] == name:
        shown[-1]["text"] += text
    else:
        shown.append({"output_type": "stream", "name": name, "text": text})


def _display(
    shown: list[dict[str, Any]], places: dict[str, dict[str, Any]], message: dict[str, Any]
) -> None:
    name = message["transient"].get("display_id")
    content = {"data": message["data"], "metadata": message["metadata"]}
    if message["update"]:
        if name in places:
            places[name].update(content)
        return
    shown.append({"output_type": "display_data", **content})
    if name is not None:
        places[name] = shown[-1]
