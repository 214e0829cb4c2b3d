"""The first lease in real money asks in the cell that needs it, or says how to agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebook.kernels import INTERRUPT, Kernel, kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CATALOG = """
name: euros
sites:
  - name: desk
    provider: local
    currency: EUR
    rate_card: {core_hour: 3.6}
    term: 30s
    offers: [{name: core, cores: 1, memory: 1 GiB, count: 4}]
"""
REFUSED = "agree with `grid.consent()`, or set `gridnb.confirm: never`"


@pytest.fixture
def book(tmp_path: Path):
    (tmp_path / "euros.yaml").write_text(CATALOG)
    with kernel(GRIDNB_NOTEBOOK=str(tmp_path / "book.ipynb")) as made:
        made.ok("%load_ext gridnb")
        made.ok(f'%grid connect {tmp_path / "euros.yaml"} --budget "5 EUR"')
        yield made


def untouched(book: Kernel) -> bool:
    state = "s = grid.status(); len(s['leases']), len(s['workers']), grid.held.amount == 0"
    return book.value(state) == "(0, 0, True)"


@pytest.mark.parametrize(
    "code",
    [
        "%%grid\n1",
        "%%grid --cores 1 --sites desk\n1",
        "%%grid --map n=[1, 2]\nn",
        "%%grid --background\n1",
        "%grid request --cores 1",
        "%grid scale 2",
        "%grid scale desk=1",
        "grid.request(cores=1)",
        "grid.cluster.adapt(maximum=2)",
        "grid.client.submit(len, 'four').result()",
    ],
)
def test_no_is_no(module_book: Kernel, code: str) -> None:
    reply = module_book.run(code, answers=["n"])
    assert reply.status == "error", reply.outputs
    assert len(reply.asked) == 1 and reply.asked[0].startswith("Lease ")
    assert "5.00 EUR left of 5.00 EUR? [y/N] " in reply.asked[0]
    assert reply.error.splitlines()[-1] == (
        "ConsentError: nothing was leased and nothing is spent: real money was not agreed to"
    )
    assert untouched(module_book)
    if code.startswith("%"):
        assert "\n" not in reply.error


@pytest.fixture(scope="module")
def module_book(tmp_path_factory: pytest.TempPathFactory, _module_processes: None):
    place = tmp_path_factory.mktemp("book")
    (place / "euros.yaml").write_text(CATALOG)
    with kernel(GRIDNB_NOTEBOOK=str(place / "book.ipynb")) as made:
        made.ok("%load_ext gridnb")
        made.ok(f'%grid connect {place / "euros.yaml"} --budget "5 EUR"')
        yield made


@pytest.mark.parametrize("code", ["%%grid\n1", "%grid request --cores 1", "grid.scale(1)"])
def test_where_nobody_can_answer_one_line_says_what_to_do(module_book: Kernel, code: str) -> None:
    reply = module_book.run(code)
    assert reply.error.splitlines()[-1].endswith(REFUSED)
    assert not reply.asked and untouched(module_book)


IN_THE_LOOP = """
import threading
there = threading.Event()
def submit():
    global lost
    lost = grid.client.submit(len, "four")
    there.set()
grid.client.loop.add_callback(submit)
assert there.wait(30)
lost.result(timeout=3)
"""


def test_in_dasks_loop_nobody_is_asked_and_the_cell_says_why_it_waits(module_book: Kernel) -> None:
    reply = module_book.run(IN_THE_LOOP, answers=[])
    assert "TimeoutError" in reply.error and not reply.asked
    said = reply.of("display_data")
    assert "no workers for this cell: the first lease in real money" in said and REFUSED in said
    assert untouched(module_book)


def test_yes_once_is_enough(book: Kernel) -> None:
    first = book.run("%%grid --cores 1\nimport gridnb\n'mine'", answers=["y"])
    assert first.result == "'mine'" and len(first.asked) == 1
    assert first.asked[0].startswith("Lease 1 × desk core for 3.60 EUR per hour")
    again = book.run("grid.release()\ngrid.scale(2)", answers=[])
    assert again.status == "ok", again.error
    # A new grid on the same budget belongs to the same session.
    book.ok("name = grid.catalog\ngrid.close()\ngrid = gridnb.Grid(name, '5 EUR', grid.account)")
    third = book.run("grid.scale(1)", answers=[])
    assert third.status == "ok", third.error


def test_a_restarted_kernel_is_asked_again(book: Kernel) -> None:
    assert book.run("%grid scale 1", answers=["yes"]).status == "ok"
    book.manager.restart_kernel(now=True)
    book.client.wait_for_ready(timeout=60)
    book.ok("%load_ext gridnb")
    book.ok("%grid connect")
    assert book.ok("%%grid\n'paid for already'").result == "'paid for already'"
    assert len(book.run("%grid scale 2", answers=["no"]).asked) == 1


def test_with_the_setting_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "euros.yaml").write_text(CATALOG)
    with kernel(
        GRIDNB_NOTEBOOK=str(tmp_path / "set.ipynb"), DASK_GRIDNB__CONFIRM="never"
    ) as script:
        script.ok("%load_ext gridnb")
        script.ok(f'%grid connect {tmp_path / "euros.yaml"} --budget "5 EUR"')
        assert script.run("%%grid --cores 1\n'ran'", answers=[]).result == "'ran'"


def test_interrupting_the_question_is_a_no(book: Kernel) -> None:
    reply = book.run("%grid scale 1", answers=[INTERRUPT])
    assert reply.status == "error" and reply.error.startswith("KeyboardInterrupt")
    assert untouched(book)
