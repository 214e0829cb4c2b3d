"""The panel in a real kernel: what its cell puts out, and how it ends."""

from __future__ import annotations

from typing import Any

from tests.notebook.conftest import grid  # noqa: F401 - a fixture
from tests.notebook.kernels import Kernel, Reply

VIEW = "application/vnd.jupyter.widget-view+json"
THREADS = "[t.name for t in __import__('threading').enumerate() if 'gridnb-panel' in t.name]"


def bundles(reply: Reply) -> list[dict[str, Any]]:
    kinds = ("display_data", "update_display_data", "execute_result")
    return [m["content"]["data"] for m in reply.messages if m["msg_type"] in kinds]


def test_a_panel_is_widgets_and_what_stays_behind(grid: Kernel):  # noqa: F811
    still, living = bundles(grid.ok("%grid panel"))
    assert VIEW in living and VIEW not in still
    assert "alpha" in still["text/html"] and "alpha" in still["text/plain"]
    assert "$" not in still["text/html"]
    grid.ok("panel = grid.panel(); panel")
    both = grid.ok("panel._repr_mimebundle_()").result
    for kind in (VIEW, "text/html", "text/plain"):
        assert kind in both
    both = f"{THREADS}.count('gridnb-panel')"
    assert grid.value(both) == "1"
    after = bundles(grid.ok("panel.close()"))
    assert any("as of" in each.get("text/html", "") for each in after)
    assert [set(each) for each in bundles(grid.ok("panel"))] == [{"text/html", "text/plain"}]
    assert grid.value("repr(panel).endswith(', closed>')") == "True"


def test_a_plain_cell_that_uses_dask_is_cancelled(grid: Kernel):  # noqa: F811
    grid.ok("import threading, time\nbegan = time.monotonic()")
    reply = grid.run(
        "def stop():\n"
        "    while not grid.cancels: time.sleep(0.05)\n"
        "    grid.cancel(next(iter(grid.cancels)))\n"
        "threading.Thread(target=stop).start()\n"
        "grid.client.submit(time.sleep, 60).result()"
    )
    assert "KeyboardInterrupt" in reply.error
    assert float(grid.value("time.monotonic() - began")) < 50
    assert grid.value("grid.cancels") == "{}"


def test_a_panel_ends_with_its_grid(grid: Kernel):  # noqa: F811
    grid.ok("panel = grid.panel(); panel")
    after = bundles(grid.ok("%grid close"))
    assert any("the connection was closed then" in each.get("text/html", "") for each in after)
    assert grid.value("panel.closed") == "True"
    assert grid.value(THREADS) == "[]"
