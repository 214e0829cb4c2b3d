"""Workers of two simulated sites speak over their link: in time, counted, and paid for."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

import gridnb
from gridnb.catalog import Catalog
from gridnb.ledger import Ledger
from tests.grids import until


def _catalog(egress: str) -> Catalog:
    def site(name: str) -> dict:
        return {
            "name": name,
            "provider": "simulated",
            "rate_card": {"egress_gib": egress, "core_hour": "0.1"},
            "offers": [{"name": "o", "cores": 1, "memory": "1 GiB"}],
        }

    return Catalog.of(
        {
            "name": "two",
            "sites": [site("a"), site("b")],
            "links": [{"between": ["a", "b"], "latency": "5ms", "bandwidth": "50 MB/s"}],
        }
    )


def _move(grid: gridnb.Grid, size: int) -> float:
    """Make `size` bytes at a, use them at b; returns the seconds that b waited for them."""
    import os

    client = grid.client
    names = {w["name"]: a for a, w in client.scheduler_info(n_workers=-1)["workers"].items()}
    data = client.submit(os.urandom, size, workers=names["a-1"], pure=False)
    return client.submit(len, data, workers=names["b-1"], pure=False).result(60)


def test_bytes_are_counted_and_charged() -> None:
    with gridnb.Grid(_catalog("1"), "5 GD", "egress") as grid:
        grid.request(workers=2).wait()
        size = 8 * 2**20
        assert _move(grid, size) == size
        link = until(lambda: next((ln for ln in grid.status()["links"] if ln["src"] == "a"), None))
        assert link["dst"] == "b"
        assert size <= link["bytes"] < size * 1.02
        until(lambda: len(_egress(grid)))
        exact = Decimal(link["bytes"]) / 2**30
        of_a = _egress(grid).query("site == 'a'")
        assert exact <= of_a.amount.sum() < exact + Decimal("1e-7")
    assert grid.bill().amount.sum() == _charged("egress")


def _egress(grid: gridnb.Grid) -> pd.DataFrame:
    bill = grid.bill()
    return bill[bill.kind == "egress"]


def _charged(account: str) -> Decimal:
    from tests.grids import account as ledger_account

    return ledger_account(account).charged


def test_a_transfer_that_the_budget_does_not_pay_for_waits() -> None:
    with gridnb.Grid(_catalog("100"), "1 GD", "waits") as grid:
        grid.request(workers=2).wait()
        import os

        client = grid.client
        names = {w["name"]: a for a, w in client.scheduler_info(n_workers=-1)["workers"].items()}
        data = client.submit(os.urandom, 30 * 2**20, workers=names["a-1"])
        future = client.submit(len, data, workers=names["b-1"])
        with pytest.raises(TimeoutError):
            future.result(3)
        assert not any(link["src"] == "a" for link in grid.status()["links"])
        budget = grid.status(bill=True)["budget"]
        assert Decimal(budget["charged"]) + Decimal(budget["held"]) <= 1
        future.cancel()


def test_a_site_that_comes_back_pays_again() -> None:
    with gridnb.Grid(_catalog("1"), "5 GD", "again") as grid:
        for _ in range(2):
            grid.request(workers=2).wait()
            client = grid.client
            names = {
                w["name"]: a for a, w in client.scheduler_info(n_workers=-1)["workers"].items()
            }
            source = next(a for name, a in names.items() if name.startswith("a-"))
            target = next(a for name, a in names.items() if name.startswith("b-"))
            import os

            data = client.submit(os.urandom, 2**20, workers=source, pure=False)
            assert client.submit(len, data, workers=target, pure=False).result(60) == 2**20
            del data
            grid.release()
            until(lambda: grid.held.amount == 0)
        assert "failed" not in (grid.directory / "hub.log").read_text()
        sent = sum(Decimal(link["cost"]) for link in grid.status()["links"])
    assert _egress(grid).amount.sum() == sent
    with Ledger() as ledger:
        assert ledger.adjustments(grid=grid.id) == []
        assert ledger.audit() == []
