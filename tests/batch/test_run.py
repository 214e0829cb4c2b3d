"""`gridnb run`: to its end and not to its end, and what stays of it."""

from __future__ import annotations

import signal
import subprocess
from decimal import Decimal

import nbformat
import pytest

from gridnb.hub.find import hubs
from gridnb.ledger import Ledger
from tests.batch.books import COMMAND, PARAMETERS, gridnb_run, priced, text, told, write
from tests.grids import account, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FREE = ("--catalog", "here")


def settled(name):
    """Check that nothing runs or is held, and return what an account was charged."""
    assert hubs() == []
    with Ledger() as ledger:
        assert ledger.audit() == []
    found = account(name)
    assert found.held == 0
    return found.charged


@pytest.fixture
def catalog(tmp_path):
    return priced(tmp_path / "priced.yaml")


def test_the_copy_has_parameters_outputs_costs_and_the_bill(tmp_path, catalog):
    write(
        tmp_path / "book.ipynb",
        PARAMETERS,
        '%load_ext gridnb\n%grid connect demo --budget "50 GD" --account other',
        "%%grid\nprint(name)\nsum(range(n))",
        "%grid budget '60 GD'",
        "import dask\ndask.delayed(sum)([n, 1]).compute()",
        "print(grid.budget, grid.account, grid.catalog.name)",
    )
    words = ["book.ipynb", "-p", "n=5", "-r", "name=7", "-o", "out.ipynb", "--budget", "1 GD"]
    data = told(*words, "--catalog", catalog, cwd=tmp_path)
    book = nbformat.read(tmp_path / "out.ipynb", 4)
    nbformat.validate(book)
    assert [c.execution_count for c in book.cells[:-1]] == [1, 2, 3, 4, 5, 6, 7]
    assert "7\n" in text(book.cells[3])
    assert "10" in text(book.cells[3]).split() and text(book.cells[5]).startswith("6")
    # The budget, account and catalog of the command hold, whatever the notebook says.
    name = str(tmp_path / "out.ipynb")
    assert "has set the budget of 1 GD" in text(book.cells[4])
    assert text(book.cells[6]) == f"1.00 GD {name} priced\n"
    assert not any(each.name == "other" for each in _accounts())

    charged = settled(name)
    costs = [cell.metadata.get("gridnb", {}).get("cost") for cell in book.cells[:-1]]
    assert [cost is not None for cost in costs] == [False, False, False, True, False, True, False]
    parts = [*(each for each in costs if each), data["between_cells"]]
    assert sum(Decimal(each.get("GD", "0")) for each in parts) == charged > 0
    assert Decimal(data["total"]["GD"]) == charged
    assert sum(Decimal(row["total"]) for row in book.metadata["gridnb"]["bill"]) == charged
    assert book.cells[-1].metadata["tags"] == ["gridnb-bill"]
    assert "**total**" in book.cells[-1].source and "$" not in book.cells[-1].source

    # Once more: the run has a budget of its own again.
    told(*words, "--catalog", catalog, cwd=tmp_path)
    assert account(name).period == 2


def _accounts():
    with Ledger() as ledger:
        return ledger.accounts()


def test_an_error_ends_it_and_the_copy_has_all_up_to_there(tmp_path, catalog):
    write(tmp_path / "book.ipynb", "%%grid\nprint('before')\n1 / 0", "'after'")
    words = ["book.ipynb", "-o", "out.ipynb", "--budget", "1 GD", "--catalog", catalog]
    code, out, err = gridnb_run(*words, cwd=tmp_path)
    assert code == 1
    line = "gridnb: code cell 2 (print('before')): ZeroDivisionError: division by zero\n"
    assert err == line and "out.ipynb: stopped after" in out and "here" in out
    connect, failed, after, bill = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert "connected to grid" in text(connect) and connect.metadata["tags"] == ["gridnb-connect"]
    assert "before" in text(failed)
    assert failed.outputs[-1]["ename"] == "ZeroDivisionError"
    assert after.outputs == [] and "did not get to its end: code cell" in bill.source
    assert "cost" in failed.metadata["gridnb"]
    assert settled(str(tmp_path / "out.ipynb")) > 0


def test_the_budget_holds_over_all_cells(tmp_path):
    catalog = priced(tmp_path / "dear.yaml", price=360, term="5s", count=1)
    cells = [f"%%grid --cores 1\nimport time\ntime.sleep(4)\n{n}" for n in range(6)]
    write(tmp_path / "book.ipynb", *cells)
    code, _, err = gridnb_run(
        *("book.ipynb", "-o", "out.ipynb", "--budget", "0.8 GD", "--catalog", catalog), cwd=tmp_path
    )
    assert code == 1 and err.startswith("gridnb: code cell ")
    assert Decimal(0) < settled(str(tmp_path / "out.ipynb")) <= Decimal("0.8")


def test_an_account_is_spent_from_as_far_as_it_reaches(tmp_path, catalog):
    write(tmp_path / "book.ipynb", "%%grid\n1")
    words = ["book.ipynb", "-o", "out.ipynb", "--account", "team", "--catalog", catalog]
    code, _, err = gridnb_run(*words, cwd=tmp_path)
    assert code == 2 and "there is no account 'team'" in err
    first = told(*words, "--budget", "1 GD", cwd=tmp_path)
    second = told(*words, cwd=tmp_path)
    both = sum(Decimal(each["total"]["GD"]) for each in (first, second))
    assert settled("team") == both and account("team").cap == 1


def test_an_interrupt_ends_the_cell_and_the_grid(tmp_path, catalog):
    sleeps = "import time\nprint('on')\ntime.sleep(60)"
    write(tmp_path / "book.ipynb", "'first'", f"%%grid\n{sleeps}", "'last'")
    words = ["book.ipynb", "-o", "out.ipynb", "--budget", "1 GD", "--catalog", str(catalog)]
    run = subprocess.Popen(
        [*COMMAND, *words, "--progress"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs the tests in the background ignores it, and so would it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        name = str(tmp_path / "out.ipynb")
        until(lambda: (tmp_path / "out.ipynb").exists())
        # The copy is saved after each cell.
        until(lambda: "'first'" in text(nbformat.read(tmp_path / "out.ipynb", 4).cells[1]))
        until(lambda: any(each.name == name and each.held for each in _accounts()))
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=100)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 130
    assert "[2/4] 'first'" in err and err.endswith("interrupted\n")
    book = nbformat.read(tmp_path / "out.ipynb", 4)
    assert book.cells[2].outputs[-1]["ename"] == "KeyboardInterrupt"
    assert book.cells[3].outputs == [] and "interrupted" in book.cells[-1].source
    settled(name)


def test_a_kernel_that_dies_is_told(tmp_path):
    write(tmp_path / "book.ipynb", "1", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    code, _, err = gridnb_run("book.ipynb", "-o", "out.ipynb", *FREE, cwd=tmp_path)
    assert code == 1 and "the kernel was ended by SIGKILL; perhaps the memory was used up" in err
    assert "ended by SIGKILL" in nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].source
    assert hubs() == []


def test_time_is_up(tmp_path):
    write(tmp_path / "book.ipynb", "import time\nwhile True: time.sleep(0.1)", "2")
    code, _, err = gridnb_run(
        "book.ipynb", "-o", "out.ipynb", "--timeout", "8s", *FREE, cwd=tmp_path
    )
    assert code == 1 and err.endswith("it did not end within 8 s\n")
    *_, last, bill = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert last.outputs == [] and "it did not end within 8 s" in bill.source


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.ipynb", "-o", "out.ipynb"], "there is no notebook no.ipynb"),
        (["book.ipynb", "-o", "book.ipynb"], "-o book.ipynb is the notebook itself"),
        (["book.ipynb", "-o", "no/out.ipynb"], "there is no directory"),
        (["broken.ipynb", "-o", "out.ipynb"], "broken.ipynb is no notebook"),
        (["book.py", "-o", "out.ipynb"], "its name does not end in .ipynb"),
        (["other.ipynb", "-o", "out.ipynb"], "asks for the kernel 'julia', which is not installed"),
        (["book.ipynb", "-o", "out.ipynb", "-p", "m=1"], "no parameter 'm'"),
        (["book.ipynb", "-o", "out.ipynb", "--budget", "5"], "'5' is not an amount of money"),
        (["book.ipynb", "-o", "out.ipynb", "--timeout", "soon"], "'soon' is not a time"),
        (["book.ipynb", "-o", "out.ipynb", "--catalog", "nix"], "there is no catalog 'nix'"),
        (["book.ipynb"], "missing: --output"),
    ],
)
def test_bad_input_is_told_in_a_line(tmp_path, words, said):
    write(tmp_path / "book.ipynb", PARAMETERS)
    (tmp_path / "broken.ipynb").write_text("{]")
    other = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "julia", "display_name": "J"}}
    )
    nbformat.write(other, tmp_path / "other.ipynb")
    code, out, err = gridnb_run(*words, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "out.ipynb").exists()
