"""Real money: nothing is leased before somebody has said yes, whichever way it is asked for."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import textwrap

import dask.config
import pytest
from distributed.deploy import Cluster

import gridnb
from gridnb.errors import BudgetError, ConfigError, ConsentError
from gridnb.hub.client import Following
from tests.grids import catalog, until

EUROS = catalog(currency="EUR", count=3)
REFUSED = "agree with `grid.consent\\(\\)`, or set `gridnb.confirm: never`"


@pytest.fixture(scope="module")
def fresh():
    """A grid at which nothing is ever agreed to."""
    with gridnb.Grid(EUROS, "5 EUR", "fresh euros") as made:
        yield made


@pytest.fixture
def grid(request):
    with gridnb.Grid(EUROS, "5 EUR", request.node.name) as made:
        yield made


def untouched(grid):
    state = grid.status()
    return not state["leases"] and not state["workers"] and not grid.held


@pytest.mark.parametrize(
    "take",
    [
        lambda grid: grid.request(cores=1),
        lambda grid: grid.request(grid.quote(cores=1)),
        lambda grid: grid.scale(1),
        lambda grid: grid.scale({"here": 1}),
        lambda grid: grid.cluster.scale(1),
        lambda grid: grid.cluster.scale(here=1),
        lambda grid: grid.cluster.adapt(minimum=0, maximum=2),
        lambda grid: grid.cluster.adapt(minimum=1, maximum=1000),
        lambda grid: grid.cluster.call("request", request='{"cores": 1}'),  # a client that lies
    ],
)
def test_nothing_is_leased_before_it_is_agreed_to(fresh, take):
    with pytest.raises(ConsentError, match=REFUSED) as caught:
        take(fresh)
    assert "× here core for" in str(caught.value) and "EUR" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert untouched(fresh)


def test_consent_once_is_enough(grid):
    grid.consent()
    lease = grid.request(cores=1)
    assert grid.scale(2) == 2
    lease.release()
    grid.cluster.adapt(minimum=1, maximum=2)
    assert grid.client.submit(pow, 2, 5).result() == 32


def test_renewals_ask_nothing():
    with gridnb.Grid(catalog(currency="EUR", term="5s"), "5 EUR", "renewed") as grid:
        grid.consent()
        grid.request(cores=1).wait()
        assert until(lambda: grid.status()["workers"][0]["up"] > 8)
        assert grid.client.submit(pow, 2, 3).result() == 8


def test_never_asks_nobody(grid):
    with dask.config.set({"gridnb.confirm": "never"}):
        grid.request(cores=1).wait()
    assert grid.held.currency == "EUR"


def test_another_value_is_told():
    with dask.config.set({"gridnb.confirm": "no"}), pytest.raises(ConfigError) as caught:
        gridnb.Grid(EUROS, "5 EUR", "another")
    assert str(caught.value) == "setting gridnb.confirm: Input should be 'ask' or 'never'"


def test_without_a_budget_nobody_is_asked():
    with gridnb.Grid(EUROS, account="poor euros") as grid:
        with pytest.raises(BudgetError, match="has no budget in EUR") as caught:
            grid.request(cores=1)
        assert not isinstance(caught.value, ConsentError)
        with pytest.raises(BudgetError, match="has no budget in EUR"):
            grid.cluster.adapt(maximum=2)
        assert untouched(grid)


def test_free_sites_and_play_money_need_no_consent():
    with gridnb.Grid(catalog(currency="EUR", price=0), account="free euros") as grid:
        grid.request(cores=1)
    with gridnb.Grid(catalog(currency="XTS"), "5 XTS", "test money") as grid:
        grid.request(cores=1)


def test_adapt_that_is_refused_in_its_loop_says_so_once_and_goes_on_after_consent(grid, caplog):
    with caplog.at_level("WARNING", "gridnb"):
        # Dask's own method does not look before whether it will be refused.
        Cluster.adapt(grid.cluster, Following, minimum=0, maximum=1, interval="100ms")
        future = grid.client.submit(pow, 3, 2)
        until(lambda: "adapt: the first lease in real money" in caplog.text)
        assert untouched(grid)
        grid.consent()
        assert future.result(timeout=30) == 9
    assert caplog.text.count("adapt: ") == 1


def test_another_process_is_another_session(grid):
    grid.consent()
    script = f"""
        import gridnb, gridnb.errors
        grid = gridnb.Grid.attach({grid.id!r})
        try:
            grid.scale(1)
        except gridnb.errors.ConsentError as error:
            print("refused")
        grid.disconnect()
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert said.stdout.strip() == "refused"
    assert untouched(grid)


def test_a_fork_is_another_session():
    code = "import os, gridnb.hub.asking as a; a.session(); os.fork() and os.wait(); "
    code += "print(a.session())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(said.stdout.split())) == 2


SCRIPT = """
import gridnb, gridnb.errors
from tests.grids import catalog
with gridnb.Grid(catalog(currency="EUR", count=3), "5 EUR", "terminal") as grid:
    try:
        grid.request(cores=2)
        grid.scale(3)
        print("leased", grid.held.currency)
    except gridnb.errors.ConsentError as error:
        print("refused:", error, "leases:", len(grid.status()["leases"]))
"""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("y", "leased EUR"),
        ("n", "refused: nothing was leased and nothing is spent: real money was not agreed to"),
        ("", "leases: 0"),
    ],
)
def test_a_terminal_asks_once_with_quote_and_budget(root, answer, said):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=theirs, stdout=theirs, stderr=theirs, cwd=root
    )
    os.close(theirs)
    seen = b""
    try:
        while True:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # it has ended
                break
            if seen.endswith(b"[y/N] "):
                os.write(ours, answer.encode() + b"\n")
        assert process.wait(30) == 0, seen.decode()
    finally:
        os.close(ours)
    text = seen.decode()
    assert text.count("[y/N]") == 1
    assert "Lease 2 × here core for 7.20 EUR per hour" in text
    assert "from a budget with 5.00 EUR left of 5.00 EUR?" in text
    assert said in text
