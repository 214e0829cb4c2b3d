"""The picture of what went between sites: plotly's and the panel's."""

from __future__ import annotations

from typing import Any

from gridnb.widgets import traffic


def _link(src: str, dst: str, size: int, *, cut: bool = False) -> dict[str, Any]:
    return {
        "src": src,
        "dst": dst,
        "bytes": size,
        "messages": 3,
        "cost": str(size / 1e9),
        "latency": 0.02,
        "bandwidth": 25_000_000,
        "cut": cut,
        "utilisation": 0.25,
    }


def _status(*links: dict[str, Any]) -> dict[str, Any]:
    return {
        "links": list(links),
        "sites": [{"name": name} for name in ("alpha", "beta", "gamma", "delta")],
        "budget": {"currency": "GD"},
    }


def test_rows_send_and_columns_receive() -> None:
    data = traffic.cells(
        _status(_link("gamma", "alpha", 3 * 2**20), _link("alpha", "beta", 0, cut=True))
    )
    assert data["names"] == ["alpha", "beta", "gamma"], "in the catalog's order, those with any"
    assert data["text"][2][0] == "3 MiB"
    assert data["text"][0][1] == "✕ cut"
    assert data["text"][0][0] == ""
    assert data["bytes"][2] == [3 * 2**20, None, None]
    assert "25 MB/s, 25% busy" in data["hover"][2][0]
    assert data["total"] == 3 * 2**20


def test_a_figure_has_a_cell_for_each_direction() -> None:
    made = traffic.figure(_status(_link("alpha", "beta", 1000), _link("beta", "alpha", 10**9)))
    (heat,) = made.data
    assert [list(row) for row in heat.z] == [[None, 1000], [10**9, None]]
    assert "GD" in made.layout.title.text
    assert "$" not in made.to_json()


def test_without_traffic_it_says_so() -> None:
    made = traffic.figure(_status())
    assert not made.data
    assert "nothing went between sites" in made.layout.annotations[0].text
    assert traffic.table(_status()) == ""


def test_with_many_sites_those_that_move_most_are_shown() -> None:
    names = [f"s{n}" for n in range(40)]
    links = [_link(names[n], names[n + 1], 1000 * (n + 1)) for n in range(39)]
    data = traffic.cells({**_status(*links), "sites": [{"name": name} for name in names]})
    assert data["names"] == names[27:39]  # the last one has a link to one side only


def test_the_panels_table_has_text_that_can_be_read() -> None:
    written = traffic.table(_status(_link("alpha", "beta", 10), _link("beta", "alpha", 10**9)))
    assert "color:#1a1a1a" in written and "color:#fff" in written
    assert 'title="alpha → beta' in written
    assert "$" not in written
