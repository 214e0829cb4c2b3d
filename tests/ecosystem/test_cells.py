"""Libraries in the cells of a notebook: plain ones, which lease by themselves, and %%grid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebook.kernels import Kernel, kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CATALOG = """
name: desk
sites:
  - name: desk
    provider: local
    rate_card: {core_hour: 3.6}
    term: 30s
    offers: [{name: core, cores: 1, memory: 1 GiB, count: 8}]
"""
JOBLIB = """
import joblib
def cube(n):
    import time
    time.sleep(0.05)
    return n ** 3
with joblib.parallel_config(backend="dask"):
    print(sum(joblib.Parallel()(joblib.delayed(cube)(n) for n in range(10))))
"""
XARRAY = """
import numpy, xarray
data = xarray.DataArray(numpy.ones((40, 50)), dims=("x", "y")).chunk({"x": 10})
print(float(data.sum().compute()))
"""
SEARCH = """
import joblib
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
x, y = make_classification(n_samples=200, random_state=0)
with joblib.parallel_config(backend="dask"):
    print(GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2).fit(x, y).best_score_ > 0.5)
"""
EXECUTOR = """
with grid.client.get_executor() as executor:
    print(sum(executor.map(abs, [-1, -2])))
"""
CELLS = [(JOBLIB, "2025\n"), (XARRAY, "2000.0\n"), (SEARCH, "True\n"), (EXECUTOR, "3\n")]
NAMES = ["joblib", "xarray", "sklearn", "executor"]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory, _module_processes: None) -> Iterator[Kernel]:
    place = tmp_path_factory.mktemp("book")
    (place / "desk.yaml").write_text(CATALOG)
    with kernel(GRIDNB_NOTEBOOK=str(place / "book.ipynb")) as made:
        made.ok("%load_ext gridnb")
        made.ok(f'%grid connect {place / "desk.yaml"} --budget "5 GD"')
        yield made


def run_of(book: Kernel) -> str:
    """Describe the newest run as the hub has it."""
    book.ok("r = grid.status(bill=True)['runs'][-1]")
    return book.value("' '.join([r['label'], r['state'], str(float(r['used']) > 0)])")


@pytest.mark.parametrize(("code", "said"), CELLS, ids=NAMES)
def test_a_plain_cell_takes_a_lease_and_is_metered(book: Kernel, code: str, said: str) -> None:
    book.ok("_ = grid.release()")
    reply = book.ok(code)
    assert said in reply.of("stdout")
    assert "desk" in reply.of("display_data") and "GD" in reply.of("display_data")
    label = code.strip().splitlines()[0][:20]  # it is shortened on the screen
    assert label in run_of(book) and " done True" in run_of(book)


@pytest.mark.parametrize(("code", "said"), CELLS, ids=NAMES)
def test_a_plain_cell_with_workers_up(book: Kernel, code: str, said: str) -> None:
    # joblib submits from Dask's own loop then, and waits for nothing before.
    book.ok("_ = grid.scale(2); grid.client.wait_for_workers(2)")
    for _ in range(2):
        reply = book.ok(code)
        assert said in reply.of("stdout")
        assert " done True" in run_of(book)


FROM_THE_LOOP = """
import threading
made, there = [], threading.Event()
def submit():
    made.append(grid.client.submit(len, "four"))
    there.set()
grid.client.loop.add_callback(submit)
assert there.wait(30)
made[0].result(timeout=60)
"""


def test_workers_that_go_are_replaced_also_for_what_is_submitted_in_the_loop(book: Kernel) -> None:
    book.ok("_ = grid.scale(1); grid.client.wait_for_workers(1)")
    assert book.ok(f"_ = grid.release(){FROM_THE_LOOP}").result == "4"


@pytest.mark.parametrize(("code", "said"), CELLS[:3], ids=NAMES[:3])
def test_in_a_cell_at_a_site(book: Kernel, code: str, said: str) -> None:
    reply = book.ok(f"%%grid{code}")
    assert said in reply.of("stdout")
    assert " done True" in run_of(book)


def test_the_repr_of_a_grid(book: Kernel) -> None:
    reply = book.ok("grid")
    data = next(m for m in reply.messages if m["msg_type"] == "execute_result")["content"]["data"]
    for text in ("Grid g", "catalog desk", "of 5.00 GD", "per hour"):
        assert text in data["text/plain"] and text in data["text/html"]
    assert "$" not in data["text/html"]
    closed = book.ok(
        "import gridnb\nother = gridnb.Grid('here', account='x')\nother.close()\nother"
    )
    assert "this connection is closed" in closed.result
