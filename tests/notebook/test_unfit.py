"""What is refused, priced or explained before anything is leased; how things look."""

from __future__ import annotations

import pytest

from gridnb.errors import CellLost, RequestError
from gridnb.notebook.lost import of_piece
from gridnb.notebook.oneline import in_one_line
from tests.notebook.kernels import Kernel, Reply, kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def html_of(reply: Reply, kind: str) -> str:
    message = next(m for m in reply.messages if m["msg_type"] == kind)
    return str(message["content"]["data"]["text/html"])


def test_a_magic_of_the_notebook_is_refused_before_the_first_line(grid: Kernel) -> None:
    reply = grid.run("%%grid\n!echo hi\n%pip list")
    assert reply.error == (
        "RequestError: %%grid: %pip belongs to the notebook and not into a cell at a site; "
        "put it into a plain cell"
    )
    assert [kind for kind, _ in reply.outputs] == ["error"]
    assert grid.ok("%%grid --quiet\nif False:\n    %pip list\n'ran'").result == "'ran'"


def test_nothing_to_run_leases_nothing(grid: Kernel) -> None:
    before = grid.value("len(grid.status()['leases'])")
    reply = grid.ok("%%grid --map x=[] --cores 3 --sites beta\nx")
    assert reply.result == "[]" and "nothing to run: x has no values" in reply.of("display_data")
    assert grid.value("len(grid.status()['leases'])") == before


def test_quote_and_explain_of_pieces(grid: Kernel) -> None:
    line = "%%grid --explain --quote --cores 1 --sites alpha --sweep a=[1, 2, 3] b=range(4)\na + b"
    shown = [text for _, text in grid.ok(line).outputs]
    assert shown[0].startswith("What travels") and "a (3 values)  int" in shown[0]
    assert shown[1].startswith("12 runs") and shown[2].startswith("Quote")
    assert "gives no values" in grid.run("%%grid --quote --map x=absent\nx").error
    assert "leave out --replicas" in grid.run("%%grid --quote --replicas 2\n1").error


def test_the_line_under_a_map_stands_below_its_result(grid: Kernel) -> None:
    shown = grid.ok("%%grid --map x=range(2)\nx").outputs
    kinds = [kind for kind, _ in shown]
    assert "execute_result" in kinds and kinds[-1] == "display_data"
    assert shown[-1][1].startswith("alpha · ")


def test_text_before_a_line_is_seen_before(grid: Kernel) -> None:
    kinds = [kind for kind, _ in grid.ok("print('first')\n%grid budget --help").outputs]
    assert kinds == ["stdout", "display_data"]


def test_a_frame_that_stayed_is_shown_by_its_shape(grid: Kernel) -> None:
    grid.ok("%%grid --keep --into frame\nimport pandas as pd\npd.DataFrame({'a': range(1000)})")
    reply = grid.ok("frame")
    assert reply.result.endswith(": 1,000 × 1>") and reply.result.startswith("<Remote DataFrame")
    shown = html_of(reply, "execute_result")
    assert "DataFrame" in shown and "1,000 × 1" in shown and ".fetch()" in shown
    error = grid.run("frame.shape").error
    assert error.startswith("NotHere: this DataFrame stayed") and "\n" not in error


def test_a_lease_says_what_is_up(grid: Kernel) -> None:
    reply = grid.ok("lease = grid.request(cores=1, sites='alpha').wait()\nlease")
    assert "1 × alpha" in reply.result and " per simulated hour · up 1 of 1" in reply.result
    assert "up 1 of 1" in html_of(reply, "execute_result")
    grid.ok("lease.release()")
    assert grid.value("lease").endswith("ended")


def test_quiet_still_says_what_is_leased() -> None:
    with kernel(GRIDNB_NOTEBOOK="/notebooks/quiet.ipynb", DASK_GRIDNB__BUDGET="3 GD") as fresh:
        fresh.ok("%load_ext gridnb")
        reply = fresh.ok("%%grid --quiet --cores 1 --sites alpha\n1")
        said = reply.of("display_data") + reply.of("update_display_data")
        assert "connected to grid" in said and "leased 1 × alpha" in said
        assert "× time" not in reply.line


def test_a_lost_piece_says_nothing_of_names() -> None:
    error = CellLost("run 1: the process ended before the cell did; what it assigned is lost (x)")
    assert str(of_piece(error)) == "run 1: the process ended before the cell did"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("request.sites: there is no site 'x'", "--sites: there is no site 'x'"),
        ('max_cost leaves 1 GD; allow max_cost="2 GD"', 'leaves 1 GD; allow --max-cost "2 GD"'),
        ("raise the budget by 0.07 GD", "raise the budget by 0.07 GD with `%grid budget`"),
    ],
)
def test_errors_name_what_can_be_written(text: str, said: str) -> None:
    with pytest.raises(RequestError) as found, in_one_line("%grid"):
        raise RequestError(text)
    assert said in str(found.value)
