"""The cell process: what it survives, how it is interrupted, what stays there."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridnb.cells.call import CellConnection, Run
from gridnb.cells.pack import pack
from gridnb.cells.remote import Remote
from gridnb.errors import CaptureError, CellError, CellLost, ReturnError
from tests.cells.notes import Notebook
from tests.cells.site import Sink, Site, cell_process, make_tls


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("process")
    with cell_process(directory, make_tls(directory), cache_bytes=4_000_000) as site:
        yield site


@pytest.fixture
def connection(site: Site) -> Iterator[CellConnection]:
    connection = site.connect()
    yield connection
    connection.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A process of this test alone, which it may end."""
    with cell_process(tmp_path, make_tls(tmp_path)) as site:
        yield site


@pytest.fixture
def notebook(connection: CellConnection) -> Notebook:
    return Notebook(connection)


def bare(lines: list[str]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def start(connection: CellConnection, run: Run) -> tuple[threading.Thread, list[Any]]:
    """Run in a thread, so that the test can do something to it; waits until it has begun."""
    said: list[Any] = []
    begun = threading.Event()

    class Waiting(Sink):
        def stream(self, name: str, text: str) -> None:
            begun.set()

    def work() -> None:
        try:
            said.append(connection.run(run, sink=Waiting()))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            said.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    return thread, said


def test_run_is_reported_to_the_guard(own: Site) -> None:
    connection = own.connect()
    connection.run(Run("r7", "1", {}), sink=Sink())
    connection.close()
    lines = [json.loads(own.reports.readline()) for _ in range(2)]
    assert lines == [{"op": "run-start", "run": "r7"}, {"op": "run-stop", "run": "r7"}]


def test_traceback_has_the_cells_lines_and_none_of_ours(notebook: Notebook) -> None:
    outcome = notebook.grid("x = 1\ndef f():\n    return 1 / 0\nf()")
    text = bare(outcome.rendered)
    assert "Cell In[1], line 5" in text
    assert "Cell In[1], line 4, in f()" in text
    assert "----> 4     return 1 / 0" in text
    assert "gridnb" not in text
    assert outcome.error._render_traceback_() == outcome.rendered  # type: ignore[union-attr]


def test_input_is_a_clear_error(notebook: Notebook) -> None:
    for body in ("input('?')", "import getpass\ngetpass.getpass()"):
        outcome = notebook.grid(body)
        assert isinstance(outcome.error, CellError)
        assert "pass the value in a variable" in outcome.error_text
        assert "gridnb" not in bare(outcome.rendered)


@pytest.mark.parametrize("body", ["import sys\nx = 1\nsys.exit(3)", "x = 1\nexit()"])
def test_exit_ends_the_cell_only(notebook: Notebook, body: str) -> None:
    outcome = notebook.grid(body)
    assert outcome.error_name == "SystemExit"
    assert notebook.names["x"] == 1
    assert notebook.grid("x + 1").value == 2


def test_hard_exit_is_cell_lost(own: Site) -> None:
    with pytest.raises(CellLost, match="ended before the cell did"):
        Notebook(own.connect()).grid("import os\nos._exit(0)")


def test_killed_process_is_cell_lost_and_names_what_is_lost(own: Site) -> None:
    run = Run(
        "r", "data.append(1)\nprint('on', flush=True)\nimport time\ntime.sleep(60)", {"data": []}
    )
    thread, said = start(own.connect(), run)
    own.process.kill()
    thread.join(20)
    assert isinstance(said[0], CellLost)
    assert "data" in str(said[0])


CHILD = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
print("on", flush=True)
try:
    child.wait()
finally:
    child.kill()
    child.wait()
"""


@pytest.mark.parametrize(
    "wait",
    [
        "import time\nprint('on', flush=True)\ntime.sleep(60)",
        "print('on', flush=True)\nwhile True:\n    pass",
        CHILD,
        "print('on', flush=True)\n!sleep 60\nx = 6",
        "print('on', flush=True)\nout = !sleep 60\nx = 6",
    ],
)
def test_interrupt_brings_back_what_was_assigned(connection: CellConnection, wait: str) -> None:
    thread, said = start(connection, Run("r", f"x = 5\n{wait}", {}))
    connection.interrupt()
    thread.join(20)
    assert said[0].error_name == "KeyboardInterrupt"
    assert said[0].assigned["x"] == 5
    assert connection.run(Run("r", "2", {}), sink=Sink()).value == 2


def test_interrupt_that_c_code_ignored_ends_the_cell_all_the_same(own: Site) -> None:
    run = Run("r", "import os\nx = 5\nprint('on', flush=True)\nos.system('sleep 60')", {})
    run.patience = 5.0
    connection = own.connect()
    thread, said = start(connection, run)
    time.sleep(0.5)  # from the print into the shell, which hears it and ends
    connection.interrupt()
    thread.join(20)
    assert said[0].error_name == "KeyboardInterrupt"
    assert said[0].assigned["x"] == 5


AWAITING = """
import asyncio
steps = []
async def work():
    try:
        await asyncio.sleep(60)
    finally:
        steps.append("cleaned")
asyncio.get_running_loop().call_later(0.1, lambda: print("on", flush=True))
await work()
"""


def test_interrupt_of_await_runs_finally_and_shows_where(connection: CellConnection) -> None:
    thread, said = start(connection, Run("r", AWAITING, {}))
    connection.interrupt()
    thread.join(20)
    assert said[0].error_name == "KeyboardInterrupt"
    assert said[0].assigned["steps"] == ["cleaned"]
    text = bare(said[0].rendered)
    assert "line 11" in text and "await work()" in text
    assert "gridnb" not in text
    again = connection.run(Run("r", "import asyncio\nawait asyncio.sleep(0)\n2", {}), sink=Sink())
    assert again.value == 2


def test_what_a_killed_cell_had_bound_is_named(own: Site) -> None:
    body = "made = 1\nimport ctypes\nprint('on', flush=True)\nctypes.PyDLL(None).sleep(60)"
    run = Run("r", body, {}, patience=0.2, on_stuck=own.process.kill)
    connection = own.connect()
    thread, said = start(connection, run)
    time.sleep(0.3)
    connection.interrupt()
    thread.join(20)
    assert "(ctypes, made)" in str(said[0])


def test_interrupt_of_c_code_that_holds_the_gil_calls_on_stuck(own: Site) -> None:
    body = "import ctypes\nx = 1\nprint('on', flush=True)\nctypes.PyDLL(None).sleep(60)"
    run = Run("r", body, {"y": 1}, patience=0.3, on_stuck=own.process.kill)
    connection = own.connect()
    thread, said = start(connection, run)
    # From the print into the C function; there the process can do nothing any more.
    time.sleep(0.3)
    connection.interrupt()
    thread.join(20)
    assert isinstance(said[0], KeyboardInterrupt)
    assert "lost" in str(said[0])
    assert own.process.wait(5) != 0


def test_interrupt_from_the_keyboard(connection: CellConnection) -> None:
    class Pressing(Sink):
        def stream(self, name: str, text: str) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    run = Run("r", "print('on', flush=True)\nimport time\ntime.sleep(60)", {})
    outcome = connection.run(run, sink=Pressing())
    assert outcome.error_name == "KeyboardInterrupt"
    assert signal.getsignal(signal.SIGINT) is before


def test_speed_below_one_takes_longer_and_can_be_interrupted(tmp_path: Path) -> None:
    with cell_process(tmp_path, speed=0.001) as site:
        connection = site.connect()
        body = "import time\nprint('on', flush=True)\ntime.sleep(0.1)\nx = 1"
        thread, said = start(connection, Run("r", body, {}))
        time.sleep(0.3)
        connection.interrupt()
        thread.join(20)
        assert said[0].error_name == "KeyboardInterrupt"
        assert said[0].assigned["x"] == 1


def test_interrupt_of_a_body_at_a_slow_site_does_not_wait(tmp_path: Path) -> None:
    with cell_process(tmp_path, speed=0.001) as site:
        # Killed, not waited for, were it to hold on for the time that the body took.
        run = Run("r", "x = 1\nprint('on', flush=True)\nimport time\ntime.sleep(60)", {})
        run.on_stuck = site.process.kill
        connection = site.connect()
        thread, said = start(connection, run)
        time.sleep(0.3)
        connection.interrupt()
        thread.join(20)
        assert said[0].error_name == "KeyboardInterrupt"
        assert said[0].assigned["x"] == 1


SLOW_RETURN = """
import time
class Slow:
    def __reduce__(self):
        time.sleep(1)
        return int, (7,)
slow = Slow()
print("on", flush=True)
time.sleep(60)
"""


def test_what_takes_long_to_come_back_after_an_interrupt_does_come(own: Site) -> None:
    run = Run("r", SLOW_RETURN, {}, patience=0.5, on_stuck=own.process.kill)
    connection = own.connect()
    thread, said = start(connection, run)
    connection.interrupt()
    thread.join(20)
    assert said[0].error_name == "KeyboardInterrupt"
    assert said[0].assigned["slow"] == 7


SLOW_TRACEBACK = """
import time
class Slow(KeyboardInterrupt):
    def __str__(self):
        time.sleep(1)
        return "at last"
import threading
threading.Timer(0.2, lambda: print("on", flush=True)).start()
try:
    time.sleep(60)
except KeyboardInterrupt:
    raise Slow from None
"""


def test_what_takes_long_to_show_after_an_interrupt_is_shown(own: Site) -> None:
    run = Run("r", SLOW_TRACEBACK, {}, patience=0.5, on_stuck=own.process.kill)
    connection = own.connect()
    thread, said = start(connection, run)
    connection.interrupt()
    thread.join(20)
    assert (said[0].error_name, said[0].error_text) == ("Slow", "at last")


def test_kernel_that_goes_away_interrupts_its_run(site: Site) -> None:
    gone = site.connect()
    thread, _ = start(gone, Run("r", "print('on', flush=True)\nimport time\ntime.sleep(600)", {}))
    gone.close()
    thread.join(20)
    again = site.connect()
    assert again.run(Run("r2", "3", {}), sink=Sink()).value == 3
    again.close()


def test_stranger_is_refused(site: Site, tmp_path: Path) -> None:
    ca, cert, key = make_tls(tmp_path, "stranger")
    with pytest.raises(CellError, match="cannot be reached"):
        CellConnection(site.address, tls_ca=ca, tls_cert=cert, tls_key=key)
    # One who trusts us, but whom we do not know.
    with pytest.raises((CellError, CellLost)):
        CellConnection(site.address, tls_ca=site.tls[0], tls_cert=cert, tls_key=key).run(
            Run("r", "1", {}), sink=Sink()
        )
    friend = site.connect()
    assert friend.run(Run("r", "1", {}), sink=Sink()).value == 1
    friend.close()


def test_closed_stdout_and_descriptors_come_back(notebook: Notebook) -> None:
    notebook.grid("import sys, os\nsys.stdout.close()\nos.close(1)")
    notebook.grid("print('again')\n!echo child")
    assert notebook.sink.out == "again\nchild\n"


def test_output_of_children_and_c_code(notebook: Notebook) -> None:
    notebook.grid(
        "import ctypes, os, subprocess\nprint('a', flush=True)\n"
        "subprocess.run(['sh', '-c', 'echo b; echo e >&2'])\nctypes.CDLL(None).puts(b'c')"
    )
    assert sorted(notebook.sink.out.split()) == ["a", "b", "c"]
    assert notebook.sink.err == "e\n"


THREAD = """
import threading
go, said = threading.Event(), threading.Event()
def late():
    go.wait()
    print("from the thread")
    said.set()
thread = threading.Thread(target=late, name="mine")
thread.start()
"""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


def test_thread_that_goes_on_is_named_and_prints_into_its_own_cell(notebook: Notebook) -> None:
    outcome = notebook.grid(THREAD)
    assert outcome.threads == ["mine"]
    sink = notebook.sink
    assert notebook.grid("go.set()\nprint('other')\nsaid.wait(10)").value is True
    until(lambda: sink.out == "from the thread\n")
    assert notebook.sink.out == "other\n"
    assert notebook.grid("1").threads == []


def test_thread_prints_into_its_cell_while_no_cell_runs(notebook: Notebook) -> None:
    notebook.grid(THREAD + "threading.Timer(0.3, go.set).start()")
    sink = notebook.sink
    until(lambda: sink.out == "from the thread\n")


def test_what_another_notebook_left_is_not_shown(site: Site, connection: CellConnection) -> None:
    other = Notebook(connection)
    other.grid("import threading\nt = threading.Timer(0.3, print, ['secret'])\nt.start()")
    connection.close()
    time.sleep(0.6)
    mine = Notebook(site.connect())
    mine.grid("1")
    assert mine.sink.out == ""
    mine.connection.close()


def test_thread_that_has_ended_is_not_named(notebook: Notebook) -> None:
    assert notebook.grid(THREAD + "go.set()\nthread.join()").threads == []
    assert notebook.sink.out == "from the thread\n"


def test_fork_in_a_body(notebook: Notebook) -> None:
    notebook.grid(
        "import os\npid = os.fork()\nif pid == 0:\n    print('child', flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint('parent')"
    )
    assert sorted(notebook.sink.out.split()) == ["child", "parent"]
    assert notebook.grid("import os\nif os.fork() == 0:\n    y = 1\nz = 2").ok


def test_killed_process_is_noticed_though_a_forked_child_lives(own: Site) -> None:
    notebook = Notebook(own.connect())
    notebook.grid("import os, time\nchild = os.fork()\nif child == 0:\n    time.sleep(60)")
    thread, said = start(
        notebook.connection, Run("r", "print('on', flush=True)\ntime.sleep(60)", notebook.names)
    )
    own.process.kill()
    thread.join(10)
    os.kill(notebook.names["child"], signal.SIGKILL)
    assert isinstance(said[0], CellLost)


def test_threads_left_behind_do_not_disturb(notebook: Notebook) -> None:
    notebook.grid(
        "import threading, time\ndef work():\n    for _ in range(20):\n        print('late')\n"
        "        time.sleep(0.01)\nthreading.Thread(target=work).start()"
    )
    for _ in range(5):
        assert notebook.grid("1 + 1").value == 2
    notebook.grid(
        "import threading\n[t.join() for t in threading.enumerate() if '(work)' in t.name]"
    )


def test_huge_output(notebook: Notebook) -> None:
    notebook.grid("for i in range(30000):\n    print('x' * 100)\nprint('end')")
    assert len(notebook.sink.out) == 30000 * 101 + 4
    assert notebook.sink.out.endswith("end\n")


@pytest.mark.parametrize(
    ("make", "use"),
    [
        ("v = (i for i in range(5))", "next(v)"),
        ("import threading\nv = threading.Lock()", "int(v.locked())"),
        ("v = open('/dev/null')", "int(v.closed)"),
    ],
)
def test_what_cannot_be_pickled_stays_and_is_usable_there(
    notebook: Notebook, make: str, use: str
) -> None:
    outcome = notebook.grid(f"{make}\nw = [1]\nv")
    assert sorted(outcome.remote) == ["Out", "v"]
    assert notebook.names["w"] == [1]
    value = notebook.names["v"]
    assert isinstance(value, Remote)
    assert value is outcome.value
    assert "alpha" in repr(value)
    assert notebook.grid(use).value == 0
    for attempt in (
        lambda: len(value),
        lambda: value.thing,
        lambda: value + 1,
        lambda: [*value],
        lambda: bool(value),
    ):
        with pytest.raises(ReturnError, match="stayed at site alpha"):
            attempt()
    with pytest.raises(ReturnError, match="cannot"):
        value.fetch()


def test_unpicklable_in_a_list_that_changed(notebook: Notebook) -> None:
    notebook.names["kept"] = kept = [1]
    notebook.grid("kept.append(i for i in range(3))\nkept.append(2)")
    assert kept[0] == 1
    assert isinstance(kept[1], Remote)
    assert kept[2] == 2
    assert notebook.grid("next(kept[1])").value == 0


def test_large_value_stays_and_can_be_fetched(notebook: Notebook) -> None:
    outcome = notebook.grid("big = bytes(300_000)\nsmall = 1", fetch_limit=200_000)
    assert outcome.remote == ["big"]
    assert notebook.names["small"] == 1
    assert notebook.names["big"].nbytes >= 300_000
    assert notebook.names["big"].fetch() == bytes(300_000)
    assert notebook.grid("len(big)").value == 300_000


def test_remote_of_another_process(notebook: Notebook, own: Site) -> None:
    notebook.grid("g = (i for i in range(3))")
    elsewhere = Notebook(own.connect(), g=notebook.names["g"])
    with pytest.raises(CaptureError, match=r"another cell process.*fetch"):
        elsewhere.grid("next(g)")


def test_unpicklable_input_names_the_variable(notebook: Notebook) -> None:
    notebook.names["lock"] = threading.Lock()
    notebook.names["fine"] = 1
    with pytest.raises(CaptureError, match=r"variable 'lock' \(lock\)"):
        notebook.grid("lock, fine")
    assert notebook.grid("fine").value == 1


def test_missing_module_is_named(notebook: Notebook) -> None:
    import sys
    import types

    module = types.ModuleType("only_here")
    module.__spec__ = None
    module.__file__ = "/nowhere/only_here.py"
    sys.modules["only_here"] = module
    notebook.names["only_here"] = module
    try:
        with pytest.raises(CaptureError, match="'only_here' is not installed at site alpha"):
            notebook.grid("only_here")
    finally:
        del sys.modules["only_here"]


def test_large_input_is_sent_once(notebook: Notebook) -> None:
    notebook.names["blob"] = b"x" * 200_000
    assert notebook.grid("len(blob)").sent_bytes > 200_000
    assert notebook.grid("blob[0]").sent_bytes < 1000
    notebook.names["blob"] = b"y" * 200_000
    assert notebook.grid("chr(blob[0])").value == "y"


def test_large_input_that_was_dropped_is_sent_again(notebook: Notebook) -> None:
    notebook.names["blob"] = bytearray(b"x" * 200_000)
    notebook.names["huge"] = bytearray(5_000_000)
    notebook.grid("len(blob)")
    notebook.grid("len(huge)")
    assert notebook.grid("len(blob)").value == 200_000


def test_what_was_not_compared_is_named(notebook: Notebook) -> None:
    notebook.names["big"] = big = bytearray(1000)
    notebook.names["small"] = small = bytearray(10)
    outcome = notebook.grid("big[0] = 1\nsmall[0] = 1", compare_limit=500)
    assert outcome.unlooked == ["big"]
    assert small[0] == 1
    assert big[0] == 0


def test_what_is_rebound_is_named(notebook: Notebook) -> None:
    notebook.plain("import io\ntext = io.StringIO('abc')\nother = text")
    outcome = notebook.grid("text.write('X')")
    assert outcome.rebound == ["text"]
    assert notebook.names["text"].getvalue() == "Xbc"
    assert notebook.names["other"] is notebook.names["text"]


def test_map_reuses_the_pickle(connection: CellConnection) -> None:
    names: dict[str, Any] = {"base": 10, "x": "not sent"}
    exec("def f(v):\n    return v + base", names)
    packed = pack("f(x)", names, without=["x"])
    assert sorted(packed.names) == ["base", "f"]
    got = [
        connection.run(
            Run(f"m{x}", "f(x)", names, packed=packed, bindings={"x": x}, returns="result"),
            sink=Sink(),
        )
        for x in range(3)
    ]
    assert [outcome.value for outcome in got] == [10, 11, 12]
    assert all(not outcome.assigned for outcome in got)


@pytest.mark.parametrize(
    "body", ["eval('secret')", "def f():\n    return eval('secret')\nf()", "_"]
)
def test_name_that_did_not_travel_is_explained(notebook: Notebook, body: str) -> None:
    notebook.plain("secret, _ = 1, 2")
    error = notebook.grid(body).error
    assert isinstance(error, NameError)
    assert error.name in ("secret", "_")
    assert "is in the notebook and did not travel" in error.__notes__[0]
    assert error.__notes__[0] in bare(error._render_traceback_())  # type: ignore[attr-defined]


def test_name_that_nobody_knows_is_not_explained(notebook: Notebook) -> None:
    error = notebook.grid("nowhere").error
    assert isinstance(error, NameError)
    assert not hasattr(error, "__notes__")


STRANGER = """
import sys, types
strange = types.ModuleType("only_at_the_site")
sys.modules["only_at_the_site"] = strange
class Odd(Exception):
    pass
Odd.__module__, strange.Odd = "only_at_the_site", Odd
del Odd
odd = strange.Odd("text")
fine = kept
kept.append(2)
"""


def test_what_cannot_be_loaded_here_stays_and_the_rest_comes(notebook: Notebook) -> None:
    kept = notebook.names["kept"] = [1]
    outcome = notebook.grid(f"{STRANGER}kept.append(odd)\nprint('seen')\nodd")
    assert outcome.unloadable == "ModuleNotFoundError: No module named 'only_at_the_site'"
    assert {"odd", "strange", "Out"} <= set(outcome.remote)
    assert kept[:2] == [1, 2]
    assert kept[2] is notebook.names["odd"]
    assert notebook.names["fine"] is kept
    assert notebook.sink.out == "seen\n"
    with pytest.raises(ReturnError, match="cannot be loaded here: ModuleNotFoundError"):
        notebook.names["odd"].fetch()
    assert notebook.grid("kept[2] is odd, odd.args").value == (True, ("text",))


def test_error_that_cannot_be_loaded_here_is_raised_all_the_same(notebook: Notebook) -> None:
    notebook.names["kept"] = []
    outcome = notebook.grid(f"{STRANGER}raise odd")
    assert (outcome.error_name, str(outcome.error)) == ("Odd", "text")
    assert type(outcome.error).__name__ == "Odd"
    assert notebook.names["kept"] == [2]


def test_what_can_be_pickled_no_more_stays(notebook: Notebook) -> None:
    notebook.plain(
        "class Odd:\n    lock = None\n    def __reduce__(self):\n"
        "        assert self.lock is None, 'it has a lock'\n        return Odd, ()\nodd = Odd()"
    )
    outcome = notebook.grid("odd.lock = 1\nother = 2")
    assert outcome.remote == ["odd"]
    assert notebook.names["other"] == 2
    assert notebook.grid("odd.lock").value == 1


def test_broken_exceptions_still_come(notebook: Notebook) -> None:
    notebook.plain(
        "class Odd(ValueError):\n    def __reduce__(self):\n        raise TypeError('no')"
    )
    outcome = notebook.grid("raise Odd('text')")
    assert outcome.error_name == "Odd"
    assert type(outcome.error).__name__ == "Odd"
    assert isinstance(outcome.error, ValueError)
    assert str(outcome.error) == "text"


def test_function_of_an_earlier_cell_reads_the_notebook(notebook: Notebook) -> None:
    notebook.grid("n = 1\ndef f():\n    global n\n    n += 1\n    return n")
    assert notebook.names["f"]() == 2
    notebook.names["n"] = 10
    notebook.grid("f()")
    assert notebook.names["n"] == 11
    assert notebook.names["f"].__globals__ is notebook.names


def test_changed_local_module_is_seen(notebook: Notebook, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for value in (1, 22):
        (tmp_path / "changing_c.py").write_text(f"value = {value}\n")
        assert notebook.grid("import changing_c\nchanging_c.value").value == value


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module beside the notebook that is imported there; gives its name."""
    name = f"local_{tmp_path.name}"
    text = "LIMIT = 1\nseen = []\nnames = {'b', 'a'}\ndef f():\n    return LIMIT\n"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("change", "unlike"),
    [
        ("pass", []),
        ("m.LIMIT = 5", ["LIMIT"]),
        ("m.seen.append(1)", ["seen"]),
        ("m.names.add('c')", ["names"]),
        ("m.f = lambda: 9", ["f"]),
        ("m.more = 1\ndel m.LIMIT", ["LIMIT", "more"]),
    ],
)
def test_what_was_changed_in_a_local_module_is_named(
    notebook: Notebook, local: str, change: str, unlike: list[str]
) -> None:
    notebook.plain(f"import {local} as m\n{change}")
    notebook.plain(f"from {local} import f")
    for body in ("m.f()", f"import {local}\n{local}.f()", "f()"):
        if body == "f()" and unlike == ["f"]:
            continue  # that one travels by itself
        outcome = notebook.grid(body)
        assert outcome.unlike == [f"{local}.{name}" for name in unlike]
        assert outcome.kept_back == []


def test_what_a_cell_changes_in_a_local_module_is_named(notebook: Notebook, local: str) -> None:
    notebook.plain(f"import {local} as m")
    outcome = notebook.grid("m.LIMIT += 1\nm.seen.append(m.f())\nm.seen")
    assert outcome.value == [2]
    assert outcome.kept_back == [f"{local}.LIMIT", f"{local}.seen"]
    assert outcome.unlike == []
    assert notebook.grid("m.f()").unlike == outcome.kept_back


DRAW = "random.random(), float(numpy.random.rand()), random.random()"


def test_random_numbers_go_on_where_the_notebook_was(notebook: Notebook) -> None:
    def drawn(*ways: str) -> list[Any]:
        notebook.plain("import random, numpy\nrandom.seed(3)\nnumpy.random.seed(3)")
        return [
            notebook.grid(DRAW).value if way == "grid" else eval(DRAW, notebook.names)
            for way in ways
        ]

    plain = drawn("plain", "plain", "plain")
    assert len({value for draw in plain for value in draw}) == 9
    assert drawn("grid", "plain", "grid") == plain
    assert drawn("plain", "grid", "plain") == plain


def test_random_numbers_of_a_map_differ(connection: CellConnection) -> None:
    names: dict[str, Any] = {}
    exec("import random, numpy\nrandom.seed(3)\nnumpy.random.seed(3)", names)
    packed = pack(DRAW, names, without=["x"])
    state = random.getstate()
    got = [
        connection.run(
            Run("m", DRAW, names, packed=packed, bindings={"x": 1}, returns="result"), sink=Sink()
        ).value
        for _ in range(2)
    ]
    assert len({value for draw in got for value in draw}) == 6
    assert random.getstate() == state


def test_working_directory_is_the_notebooks(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert notebook.grid("import os\nos.getcwd()").value == str(tmp_path)
    outcome = notebook.grid("os.chdir('/')")
    assert outcome.ambient == {"cwd": "/"}
    assert Path.cwd() == tmp_path
    assert notebook.grid("os.getcwd()").value == str(tmp_path)


def test_plain_sockets_for_unit_tests(tmp_path: Path) -> None:
    with cell_process(tmp_path) as site:
        connection = site.connect()
        assert connection.run(Run("r", "6 * 7", {}), sink=Sink()).value == 42
        connection.close()
