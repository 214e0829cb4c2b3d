"""``--explain``: what sending a cell costs, by the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridnb.catalog import load
from gridnb.notebook.explain import sending

MINE = """
name: mine
sites:
  - name: desk
    provider: local
    owner: me
    rate_card: {core_hour: 0.02, egress_gib: 0.5}
    offers: [{name: core, cores: 1, memory: 2 GiB, count: 4}]
  - name: far
    provider: simulated
    owner: they
    rate_card: {core_hour: 0.01}
    offers: [{name: core, cores: 1, memory: 2 GiB, count: 4}]
  - name: near
    provider: simulated
    owner: they
    rate_card: {core_hour: 0.01}
    offers: [{name: core, cores: 1, memory: 2 GiB, count: 4}]
links:
  - {between: [desk, far], latency: 100ms, bandwidth: 1 MiB/s}
  - {between: [desk, near], price: 0}
"""


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        (["far"], "sending it to far costs 1.00 GD and takes about 34 min 08 s"),
        (["near"], "sending it to near costs nothing"),
        (["desk"], "sending it costs nothing"),
        ([], "sending it to far costs at most 1.00 GD and takes about 34 min 08 s"),
    ],
)
def test_bytes_that_leave_a_site_of_this_machine_have_a_price(
    tmp_path: Path, sites: list[str], said: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    assert sending(2 * 2**30, load(path), sites) == said


def test_bytes_from_a_notebook_that_is_no_site_cost_nothing() -> None:
    assert sending(10**9, load("demo"), []) == "sending it costs nothing"
