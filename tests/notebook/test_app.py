"""An application without a browser: its form, its price, and what it refuses."""

from __future__ import annotations

from decimal import Decimal

import ipywidgets
import pytest

from gridnb.catalog import Catalog, load
from gridnb.errors import RequestError
from gridnb.notebook.app import App
from gridnb.notebook.appprice import left_of, price
from gridnb.units import Money
from gridnb.widgets.appview import _outputs
from gridnb.widgets.form import Form
from tests.grids import catalog
from tests.notebook.kernels import kernel


def work(n, word="x", share=0.5, fast=True):
    """Do it."""


def test_each_parameter_is_a_field():
    form = Form(work, {"n": (1, 9), "word": ["a", "b"]}, {"cores": (1, 8), "regions": "eu"})
    kinds = [type(each).__name__ for each in form.widgets]
    assert kinds == ["IntSlider", "Dropdown", "FloatSlider", "Checkbox", "IntSlider"]
    assert form.values == {"n": 5, "word": "a", "share": 0.5, "fast": True}
    assert form.more == {"cores": 4, "regions": "eu"}
    heard = []
    form.on_more(lambda: heard.append(form.more["cores"]))
    form.widgets[0].value = 3
    form.widgets[-1].value = 8
    assert heard == [8] and form.values["n"] == 3
    form.disable(True)
    assert all(each.disabled for each in form.widgets)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "argument: 'n'; give each parameter a default or a field, like n=(1, 10)"),
        ({"n": 1, "m": 2}, "it has no parameter 'm'; it has n, word, share, fast"),
    ],
)
def test_a_parameter_without_a_field_is_said(fields, said):
    with pytest.raises(RequestError) as caught:
        Form(work, fields, {})
    assert str(caught.value).startswith("app of work: ") and said in str(caught.value)


def test_a_price_says_what_it_comes_to_and_why_it_cannot_be_had():
    found = price({"cores": 2}, catalog(), Money(Decimal(5), "GD"))
    assert found.parts() == ["≈ 7.20 GD per hour", "at most 5.00 GD", "2 workers at here"]
    assert not found.spent and found.tags() == []
    poor = price({"cores": 1}, catalog(), Money(Decimal("0.001"), "GD"))
    assert poor.spent and poor.parts() == [
        "the budget is spent",
        "0.001 GD left, a run begins at 0.02 GD",
    ]
    wrong = price({"cores": 99}, catalog(), Money(Decimal(5), "GD"))
    assert wrong.quote is None and not wrong.spent and "99" in wrong.parts()[0]
    assert price({"colour": 1}, catalog(), None).why.startswith("request:")
    assert price({}, load("here"), None).parts()[0] == "free"


def test_what_is_left_of_an_account_that_is_new():
    assert left_of("nobody", "GD", Money(Decimal(2), "GD")) == Money(Decimal(2), "GD")
    assert left_of("nobody", "GD", None) is None


def test_without_a_budget_nothing_that_costs_can_be_run():
    app = App(work, n=1, catalog=catalog(), account="no budget")
    assert app._view.run.disabled and "without a budget" in app._view._price.value
    free = App(work, n=1, catalog="here", account="no budget")
    assert not free._view.run.disabled and free.widget.children


@pytest.mark.slow
def test_the_button_is_the_consent_to_spend_real_money():
    desk = catalog().sites[0].model_dump(mode="json") | {"currency": "USD"}
    real = Catalog.of({"name": "real", "sites": [desk]})
    app = App(pow, title="Power", base=3, exp=4, mod=[None], catalog=real, budget="1 USD")
    try:
        job = app._start()
        assert job is not None and job.result(60) == 81
        again = app._start()
        assert again is not None and again.result(60) == 81
        assert len(app._grid.status()["leases"]) == 1
    finally:
        app.close()


def test_messages_become_outputs_of_a_cell():
    def display(text, name=None, update=False):
        data = {"text/plain": text}
        transient = {} if name is None else {"display_id": name}
        return {
            "op": "display",
            "data": data,
            "metadata": {},
            "transient": transient,
            "update": update,
        }

    out = {"op": "stream", "name": "stdout"}
    messages = [
        {**out, "text": "gone"},
        {"op": "clear", "wait": True},
        {**out, "text": "a"},
        {**out, "text": "b\r"},
        display("first", "d"),
        display("second", "d", update=True),
        {"op": "note", "text": "a note"},
    ]
    assert _outputs(messages) == [
        {"output_type": "stream", "name": "stdout", "text": "ab\r"},
        {"output_type": "display_data", "data": {"text/plain": "second"}, "metadata": {}},
        {"output_type": "stream", "name": "stderr", "text": "a note\n"},
    ]


def test_in_a_kernel_without_comms_a_sentence_stands_for_it():
    with kernel() as made:
        made.ok("get_ipython().kernel.comm_manager = None\nimport gridnb\ndef f(n=1): return n")
        reply = made.ok("gridnb.App(f, catalog='here')")
        assert "`gridnb app` opens its notebook as a page" in reply.line


def test_widgets_of_the_form_are_the_users_own():
    slider = ipywidgets.IntSlider(7, description="how many")
    form = Form(work, {"n": slider}, {})
    assert form.widgets[0] is slider and slider.description == "how many"
