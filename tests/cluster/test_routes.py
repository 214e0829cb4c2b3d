"""From where to where staged files go."""

from __future__ import annotations

from decimal import Decimal

from gridnb.cluster.routes import plan


def _plan(seconds, egress, waiting=None, narrow=None, targets="bc"):
    hops = plan(
        ["home"],
        targets,
        lambda *pair: seconds.get(pair, 9.0),
        lambda *pair: Decimal(egress.get(pair, 0)),
        waiting or {},
        narrow,
    )
    return {hop.target: hop.source for hop in hops}


def test_one_narrow_line_is_used_once():
    seconds = {("home", "b"): 4.0, ("home", "c"): 4.0, ("b", "c"): 1.0}
    assert _plan(seconds, {}) == {"b": "home", "c": "home"}
    assert _plan(seconds, {}, narrow="home") == {"b": "home", "c": "b"}


def test_egress_is_avoided_unless_waiting_costs_more():
    seconds = {("home", "b"): 1.0, ("home", "c"): 9.0, ("b", "c"): 1.0}
    egress = {("b", "c"): 5}
    assert _plan(seconds, egress) == {"b": "home", "c": "home"}
    assert _plan(seconds, egress, {"c": Decimal(1)}) == {"b": "home", "c": "b"}


def test_nobody_has_it():
    assert plan([], ["a"], lambda *_: 1.0, lambda *_: Decimal(0), {}) == []
