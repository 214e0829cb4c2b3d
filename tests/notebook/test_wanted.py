"""Which workers of a grid's status a cell may use, and what has to be leased beside them."""

from __future__ import annotations

from typing import Any

import pytest

from gridnb.broker import Request
from gridnb.catalog import load
from gridnb.notebook.wanted import allowed, limits, missing, usable

DEMO = load("demo")


def worker(site: str, lease: str = "l1", state: str = "running", **more: Any) -> dict[str, Any]:
    row = {"name": f"{site}-1", "site": site, "lease": lease, "state": state, "cores": 1}
    return {**row, "memory": 2**30, **more}


def status(*workers: dict[str, Any], **ends_in: float | None) -> dict[str, Any]:
    leases = {each["lease"]: None for each in workers} | ends_in
    return {
        "workers": list(workers),
        "leases": [{"id": k, "state": "active", "ends_in": v} for k, v in leases.items()],
    }


def names(state: dict[str, Any], asked: dict[str, Request] | None = None, **wish: Any) -> list[str]:
    return [w["site"] for w in usable(state, Request.of(**wish), DEMO, asked or {})]


def test_sites_and_regions_are_hard():
    state = status(worker("alpha"), worker("beta"), worker("zeta", state="draining"))
    assert names(state) == ["alpha", "beta"]
    assert names(state, sites="beta") == ["beta"] and names(state, regions="eu-north") == ["alpha"]
    assert allowed(DEMO, Request.of(regions="us")) == ["delta", "epsilon"]


def test_a_limit_is_met_by_a_lease_of_its_own_only():
    state = status(worker("alpha"), worker("beta", "l2"), worker("zeta", "l3"))
    asked = {"l2": Request.of(max_cost="1 GD"), "l3": Request.of(max_cost="1 GD")}
    assert names(state, asked, max_cost="1 GD") == ["zeta"]
    assert names(state, asked, max_cost="2 GD") == [] and names(state, asked, spot=True) == []
    assert limits(Request.of(cores=3)) == () == limits(None)


@pytest.mark.parametrize(("left", "fits"), [(10.0, True), (8.0, True), (7.9, False), (0.0, False)])
def test_a_deadline_counts_from_its_own_cell(left, fits):
    asked = {"l1": Request.of(deadline="10 min")}  # which are ten real seconds here
    state = status(worker("alpha"), l1=left)
    assert names(state, asked, deadline="10 min") == (["alpha"] if fits else [])
    assert names(state, asked) == ["alpha"], "a cell without a deadline takes what there is"


def test_what_is_missing_is_asked_for_in_addition():
    assert missing(Request.of(cores=3), [worker("alpha")]) == {
        "cores": 2,
        "gpus": 0,
        "memory": None,
    }
    assert missing(Request.of(memory="3 GiB"), [worker("alpha")])["memory"] == 2 * 2**30
    assert missing(Request.of(cores=1), [worker("alpha")]) == {}
    assert missing(Request.of(cores=5), []) == {"cores": 5}
    assert missing(Request.of(), []) == {"cores": 2}, "what the settings say"
