"""Where widgets can be shown, and where they are heard while a cell runs."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gridnb.widgets import controls

pytest.importorskip("ipywidgets")


def shell(*features: str, subshells: tuple[str, ...] = (), **names: Any) -> Any:
    """What a kernel says of itself, and what a notebook has in it."""
    manager = SimpleNamespace(list_subshell=lambda: list(subshells))
    kernel = SimpleNamespace(
        comm_manager=object(),
        kernel_info={"supported_features": list(features)},
        shell_channel_thread=SimpleNamespace(manager=manager),
    )
    return SimpleNamespace(kernel=kernel, user_ns=names)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "_opened", [])


def test_a_kernel_with_comms_shows_widgets(monkeypatch):
    assert controls.widgets(shell())
    assert not controls.widgets(SimpleNamespace(user_ns={}))  # a terminal
    assert not controls.widgets(SimpleNamespace(kernel=SimpleNamespace(), user_ns={}))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert not controls.widgets(shell())


def test_clicks_are_heard_where_kernel_and_front_end_have_subshells(monkeypatch):
    assert controls.live(shell("kernel subshells"))
    assert not controls.live(shell())  # an older ipykernel
    code = shell("kernel subshells", __vsc_ipynb_file__="/a/book.ipynb")
    assert not controls.live(code)
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    assert not controls.live(shell("kernel subshells"))


def test_a_front_end_that_never_asks_for_a_subshell_has_none(monkeypatch):
    monkeypatch.setattr(controls, "SUBSHELL_PATIENCE", 0.05)
    controls.opened()
    threading.Event().wait(0.1)
    assert not controls.live(shell("kernel subshells"))
    assert controls.live(shell("kernel subshells", subshells=("one",)))


def test_names_of_controls_are_there_and_others_are_not():
    import ipywidgets

    for name in set(controls.__all__) - {"HINT", "Live", "live", "widgets"}:
        assert issubclass(getattr(controls, name), (controls.Live, ipywidgets.Widget))
    with pytest.raises(AttributeError, match="has no attribute 'Slider'"):
        _ = controls.Slider
