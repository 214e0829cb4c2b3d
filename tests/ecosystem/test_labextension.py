"""The Dask extension for JupyterLab makes, shows, scales and ends grids."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import dask.config
import pytest
import yaml
from distributed.comm import listen

import gridnb
from gridnb.errors import HubError, RequestError
from gridnb.hub.find import hubs
from gridnb.labextension import GridCluster
from tests.browser.server import Server, serving
from tests.grids import catalog, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def configured(**kwargs: Any) -> dict[str, Any]:
    factory = {"module": "gridnb.labextension", "class": "GridCluster", "args": []}
    default = {"workers": None, "adapt": None}
    return {
        "labextension": {
            "factory": {**factory, "kwargs": kwargs},
            "default": default,
            "initial": [],
        }
    }


def test_the_manager_makes_shows_scales_and_ends_a_grid() -> None:
    async def go() -> None:
        # It makes a manager of its own, and looks for the loop, when it is imported.
        from dask_labextension.manager import DaskClusterManager

        async with DaskClusterManager() as manager:
            made = await manager.start_cluster("one", {"name": "mine", "workers": 1})
            assert made["name"] == "mine" and made["scheduler_address"].startswith("grid://127")
            assert made["dashboard_link"].startswith("http://127.0.0.1:")
            await asyncio.to_thread(until, lambda: manager.get_cluster("one")["workers"] == 1)
            shown = manager.get_cluster("one")
            assert shown["cores"] == 1 and shown["memory"].endswith("iB")
            await manager.scale_cluster("one", 2)
            await asyncio.to_thread(until, lambda: manager.list_clusters()[0]["workers"] == 2)
            adapting = manager.adapt_cluster("one", 1, 2)
            assert adapting["adapt"] == {"minimum": 1, "maximum": 2}
            await asyncio.to_thread(used_from_elsewhere, made["scheduler_address"])
            await manager.close_cluster("one")
            assert manager.list_clusters() == []

    with dask.config.set(configured(catalog="here", name="panel")):
        asyncio.run(go())
    assert not [hub for hub in hubs() if hub.name == "panel"]


INJECTED = """
from dask.distributed import Client

client = Client({address!r})
client
print(client.submit(sum, [1, 2, 3]).result(), client.dashboard_link)
client.close()
"""


def used_from_elsewhere(address: str) -> None:
    """What the panel writes into a notebook, word by word, where nothing else is known."""
    code = INJECTED.format(address=address)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("6 http://127.0.0.1:")


def test_a_grid_made_in_code_is_shown_and_left_alone() -> None:
    async def go(name: str) -> None:
        shown = await GridCluster(attach=name, asynchronous=True)
        assert len(shown.scheduler_info["workers"]) == 1
        await shown.close()

    with gridnb.Grid(catalog(price=0), account="in code", name="coded") as grid:
        grid.request(cores=1).wait()
        asyncio.run(go("coded"))
        asyncio.run(go(grid.id))
        asyncio.run(go("newest"))
        assert grid.client.submit(len, "lives").result() == 5


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(RequestError, match="leave out catalog, budget and account"):
        GridCluster(catalog="here", attach="newest")
    with pytest.raises(HubError, match="no grid nonsense runs"):
        asyncio.run(GridCluster(attach="nonsense")._start())
    # In a process of its own, since Dask leaves a loop behind when a client cannot connect.
    code = "from distributed import Client; Client('grid://127.0.0.1:9')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        "HubError: no grid of yours listens at grid://127.0.0.1:9; there are: none" in said.stderr
    )
    with pytest.raises(HubError, match="only clients use such addresses"):
        listen("grid://127.0.0.1:0", print)


def test_real_money_needs_a_word_in_the_configuration() -> None:
    async def go(**more: Any) -> int:
        made = await GridCluster(
            catalog(currency="EUR"), "5 EUR", "side panel", asynchronous=True, **more
        )
        try:
            await made.scale(1)
            return len(made._grid.status()["workers"])
        finally:
            await made.close()

    with pytest.raises(gridnb.GridError, match="`gridnb.confirm: never`"):
        asyncio.run(go())
    assert asyncio.run(go(confirm="never")) == 1


# over HTTP, as the side panel does it


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _module_processes: None) -> Iterator[Server]:
    """A Jupyter server with the extension and jupyter-server-proxy, configured by a file."""
    place = tmp_path_factory.mktemp("server")
    (place / "dask").mkdir()
    (place / "dask" / "labextension.yaml").write_text(yaml.safe_dump(configured(catalog="here")))
    (place / "notebooks").mkdir()
    made = Server.new(place / "notebooks", place / "home")
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": made.port,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": made.notebooks,
        "ServerApp.jpserver_extensions": "dask_labextension=True",
    }
    command = [sys.executable, "-m", "jupyter_server", *(f"--{k}={v}" for k, v in options.items())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_CONFIG", str(place / "dask"))
        with serving(made, command, place / "home", "/api"):
            yield made


def ask(server: Server, path: str, method: str = "GET", body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{server.address}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {server.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


def assert_dashboard(server: Server, path: str) -> None:
    page = ask(server, f"{path}/status")
    assert "Dask Diagnostic UI" in page and "docs_json" in page
    assert "navbar" in ask(server, f"{path}/statics/css/base.css")


def test_over_http_from_new_to_shut_down(server: Server) -> None:
    name = "11111111-2222-3333-4444-555555555555"
    made = ask(server, f"dask/clusters/{name}", "PUT", {})
    assert made["name"] == "GridCluster 1" and made["workers"] == 0
    ask(server, f"dask/clusters/{name}", "PATCH", {"workers": 1})
    until(lambda: ask(server, "dask/clusters/")[0]["workers"] == 1)
    assert_dashboard(server, f"dask/dashboard/{name}")
    plots = ask(server, f"dask/dashboard-check/{urllib.parse.quote(made['dashboard_link'], '')}")
    assert plots["isActive"] and "Individual Task Stream" in plots["plots"]
    ask(server, f"dask/clusters/{name}", "DELETE")
    assert ask(server, "dask/clusters/") == []


def test_the_dashboard_of_a_grid_in_code_through_the_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gridnb.Grid(catalog(price=0), account="proxied") as grid:
        plain = grid.cluster.dashboard_link
        assert plain.startswith("http://127.0.0.1:") and plain.endswith("/status")
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/")
        template = "{JUPYTERHUB_SERVICE_PREFIX}proxy/{port}/status"
        with dask.config.set({"distributed.dashboard.link": template}):
            link = grid.client.dashboard_link
            assert link == grid.cluster.dashboard_link == f"/proxy/{plain.split(':')[2]}"
        assert_dashboard(server, link.strip("/").removesuffix("/status"))
        # The server asks itself; in a browser the address box takes the token along.
        asked = urllib.parse.quote(f"{link}?token={server.token}", "")
        found = ask(server, f"dask/dashboard-check/{asked}")
        assert found["isActive"], found
