"""The panel's controller, its widgets and its static form, on a real grid, without a front end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from gridnb.catalog import Catalog
from gridnb.grid import Grid
from gridnb.widgets.panel import Panel
from gridnb.widgets.panel.model import Model, Snapshot
from tests.grids import until

pytest.importorskip("ipywidgets")

CATALOG = {
    "name": "priced",
    "sites": [
        {
            "name": name,
            "provider": "local",
            "region": region,
            "currency": "USD",
            "rate_card": {"core_hour": price},
            "offers": [{"name": "core", "cores": 1, "memory": "1 GiB", "count": 3}],
        }
        for name, region, price in (("near", "eu", "3.6"), ("far", "us", "7.2"))
    ],
}


@pytest.fixture(scope="module")
def grid(_module_processes: None) -> Iterator[Grid]:
    with Grid(catalog=Catalog.of(CATALOG), budget="5 USD", account="panel-test") as made:
        yield made


@pytest.fixture
def view(grid: Grid) -> Iterator[Any]:
    from gridnb.widgets.panel.view import PanelView

    model = Model.of(grid)
    made = PanelView(
        model,
        lambda request: str(grid.request(grid.quote(**request))),
        grid.set_budget,
        lambda: None,
        "twin",
    )
    made.begin(model.now())
    model.watch(made.show)
    yield made
    model.unwatch(made.show)
    made.close()
    grid.release()
    until(lambda: not grid.status()["workers"])


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("gridnb-panel")]


def every(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every(child)


def button(view: Any, name: str) -> Any:
    """The button with this description that can be pressed, or None."""
    return next(
        (
            each
            for each in every(view.widget)
            if getattr(each, "description", None) == name and hasattr(each, "click")
            and not each.disabled
        ),
        None,
    )  # fmt: skip


def field(view: Any, name: str) -> Any:
    return next(each for each in every(view.widget) if getattr(each, "description", "") == name)


def shown(view: Any) -> str:
    return "\n".join(str(getattr(each, "value", "")) for each in every(view.widget))


# the controller


def test_a_model_looks_while_somebody_watches(grid):
    model = Model.of(grid)
    assert Model.of(grid) is model
    one: list[Snapshot] = []
    two: list[Snapshot] = []
    model.watch(one.append)
    model.watch(two.append)
    until(lambda: one and two)
    assert threads() == ["gridnb-panel"]
    assert one[0].status["budget"]["cap"] is not None and not one[0].problem
    model.unwatch(one.append)
    count = len(two)
    model.look()
    until(lambda: len(two) > count)
    model.unwatch(two.append)
    assert threads() == []


def test_a_lost_hub_is_said_and_what_was_known_stays(grid):
    model = Model(grid)
    known = model.now()
    model._last = Snapshot({**known.status, "seen": True}, known.series)
    cluster, grid.cluster = grid.cluster, _Gone()
    try:
        snapshot = model._look()
    finally:
        grid.cluster = cluster
    assert snapshot.problem == "nobody there"
    assert snapshot.status["seen"]


class _Gone:
    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        raise OSError("nobody there")


def test_flat_lines_keep_their_ends():
    from gridnb.widgets.panel.model import _steps

    flat, more = {"a": Decimal(1)}, {"a": Decimal(2)}
    points = [(1.0, flat), (2.0, flat), (3.0, flat), (4.0, more)]
    assert _steps([], None, points) == [points[0], points[2], points[3]]
    known = _steps([], None, points[:2])
    assert _steps(known, points[1], points[2:]) == [points[2], points[3]]
    assert _steps([points[0]], points[0], [points[3]]) == [points[3]]


def test_the_last_value_gets_its_turn():
    from gridnb.widgets.panel.tasks import Latest, Tasks

    tasks, done = Tasks(), []
    latest: Latest[int] = Latest(tasks, done.append, delay=0.05)
    for number in range(50):
        latest.put(number)
    until(lambda: done)
    latest.put(50)
    until(lambda: done[-1] == 50)
    assert done == [49, 50]
    tasks.stop()
    latest.put(51)
    assert threads() == [] and done == [49, 50]


# the form


def test_the_form_is_made_from_the_offers(view):
    names = {getattr(each, "description", "") for each in every(view.widget)}
    assert {"cores", "memory", "optimize", "max cost", "deadline", "near", "far", "eu"} <= names
    assert not {"gpus", "spot"} & names
    assert field(view, "cores").max == 6
    assert field(view, "memory").options == ("any", "1 GiB", "2 GiB", "4 GiB")


def test_a_quote_follows_and_mistakes_are_said_in_place(view):
    until(lambda: button(view, "Request · 3.60 USD per hour"))
    field(view, "cores").value = 2
    until(lambda: button(view, "Request · 7.20 USD per hour"))
    field(view, "far").value = True
    until(lambda: button(view, "Request · 14.40 USD per hour"))
    field(view, "near").value = field(view, "far").value = False
    field(view, "max cost").value = "two"
    until(lambda: "is not an amount of money" in shown(view))
    assert button(view, "Request") is None
    field(view, "max cost").value = ""
    until(lambda: button(view, "Request · 7.20 USD per hour"))


def test_real_money_is_asked_for_once_then_a_lease_can_be_released(grid, view):
    until(lambda: button(view, "Request · 3.60 USD per hour")).click()
    until(lambda: "This is real money. Lease 1 × near core for 3.60 USD per hour" in shown(view))
    assert not grid.status()["leases"]
    button(view, "No").click()
    until(lambda: button(view, "Request · 3.60 USD per hour")).click()
    assert not grid.status()["leases"]
    until(lambda: "This is real money" in shown(view))
    button(view, "Yes, pay for it").click()
    until(lambda: button(view, "Release"))
    until(lambda: button(view, "Request · 3.60 USD per hour")).click()
    until(lambda: len(grid.status()["leases"]) == 2)
    until(lambda: button(view, "Release")).click()
    try:
        until(lambda: sum(each["state"] == "active" for each in grid.status()["leases"]) == 1)
    except AssertionError:
        raise AssertionError(f"{grid.status()['leases']}; {shown(view)}") from None


def test_the_budget_is_raised_after_a_question(grid, view):
    field(view, "Change budget").click()
    until(lambda: "is not an amount of money" in shown(view))
    box = next(e for e in every(view.widget) if "new budget" in getattr(e, "placeholder", ""))
    box.value = "8"
    field(view, "Change budget").click()
    assert "Raise the budget from 5.00 USD to 8.00 USD?" in shown(view)
    assert str(grid.budget) == "5.00 USD"
    button(view, "Yes, raise it").click()
    until(lambda: "the budget is 8.00 USD now" in shown(view))
    until(lambda: "of 8.0000 USD" in shown(view))
    box.value = "9 GD"
    field(view, "Change budget").click()
    button(view, "Yes, change it").click()
    until(lambda: "cannot pay for catalog priced" in shown(view))
    assert str(grid.budget) == "8.00 USD"


def test_a_run_that_cannot_be_cancelled_says_so(view, grid):
    grid.client.announce("elsewhere-1", "In [1] loop", "running")
    until(lambda: "In [1] loop" in shown(view))
    button(view, "Cancel").click()
    until(lambda: "✗" in shown(view))
    until(lambda: button(view, "Cancel"))
    grid.client.announce("elsewhere-1", "In [1] loop", "done")
    until(lambda: "nothing runs" in shown(view))
    assert "In [1] loop" in shown(view)


def test_a_run_of_this_kernel_is_cancelled(view, grid):
    stopped = threading.Event()
    grid.cancels["mine-1"] = stopped.set
    grid.client.announce("mine-1", "In [2] loop", "running")
    until(lambda: "In [2] loop" in shown(view))
    button(view, "Cancel").click()
    assert stopped.wait(10)
    until(lambda: any(getattr(e, "description", "") == "cancelling…" for e in every(view.widget)))
    grid.client.announce("mine-1", "In [2] loop", "failed")
    until(lambda: "nothing runs" in shown(view))


def test_the_bill_is_shown_on_request(view):
    button(view, "Show the bill").click()
    until(lambda: button(view, "Show it anew"))
    assert "Bill" in shown(view)


def test_many_runs_are_few_rows():
    from benchmarks import _synthetic

    view = _synthetic.view(_synthetic.hub(200, 10_000, running=50))
    boxes = [each for each in every(view.widget) if getattr(each, "description", "") == "Cancel"]
    assert len(boxes) == 30
    assert "and 20 more" in shown(view)
    assert "and 9,920 older ones" in shown(view)
    assert len(shown(view)) < 100_000
    view.close()


def test_nothing_is_sent_when_nothing_has_changed(view):
    from benchmarks import _synthetic

    hub = _synthetic.hub(2, 10)
    made = _synthetic.view(hub)
    snapshot = _synthetic.snapshot(hub, 1)
    made.show(snapshot)
    changes: list[Any] = []
    for each in every(made.widget):
        each.observe(changes.append)
    made.show(snapshot)
    assert changes == []
    made.close()


# the static form


def test_where_there_are_no_widgets_the_state_is_text(grid):
    panel = Panel(grid)
    bundle = panel._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    for text in bundle.values():
        assert "this front end shows no widgets" in text and "near" in text
        assert "$" not in text
    assert "<script" not in bundle["text/html"]
    assert repr(panel) == f"<Panel of grid {grid.id}>"
    panel.close()
    assert panel.closed and threads() == []


def test_a_panel_ends_with_its_grid():
    with Grid(catalog=Catalog.of(CATALOG), account="panel-ends") as made:
        model = Model.of(made)
        seen: list[Snapshot] = []
        model.watch(seen.append)
        until(lambda: seen)
    assert seen[-1].over and not seen[-1].problem
    assert threads() == []
