"""For how long a site is avoided after what."""

from __future__ import annotations

import pytest

from gridnb.hub.health import FIRST, MOST, WINDOW, Health


def test_a_single_loss_is_no_reason() -> None:
    health = Health()
    health.note("a", "lost", 100)
    assert health.avoided(100) == {}
    assert health.describe("a", 100)["lost"] == 1


@pytest.mark.parametrize(("kind", "whole"), [("lost", True), ("start", False), ("notice", False)])
def test_a_site_is_avoided_for_a_while_and_then_tried_again(kind, whole) -> None:
    health = Health()
    health.note("a", kind, 100, whole=whole)
    assert health.avoided(100 + FIRST - 1).keys() == {"a"}
    assert health.avoided(100 + FIRST + 1) == {}


def test_each_further_failure_doubles_the_pause() -> None:
    health = Health()
    for number in range(7):
        health.note("a", "lost", at := 60.0 * number)
    assert health.avoided_for("a", at) == MOST
    health = Health()
    health.note("a", "lost", 0)
    health.note("a", "lost", 20)
    assert health.avoided_for("a", 20) == 2 * FIRST
    assert "avoided for" in (health.why("a", 20) or "")


def test_workers_that_go_together_are_one_failure() -> None:
    health = Health()
    for moment in (0.0, 0.1, 0.2):
        health.note("a", "lost", moment)
    assert health.strikes("a", 1) == 1
    assert health.describe("a", 1)["lost"] == 3


def test_what_is_long_ago_is_forgotten() -> None:
    health = Health()
    health.note("a", "lost", 0, whole=True)
    health.note("a", "lost", 10, whole=True)
    assert health.strikes("a", WINDOW + 5) == 1
    assert health.strikes("a", WINDOW + 15) == 0
