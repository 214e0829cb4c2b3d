"""Output of ``%%grid`` cells in a real kernel: while they run, in order, in their own cells."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def streamed(kernel: Any, code: str) -> list[tuple[float, str, str]]:
    """Run a cell; returns (seconds since its begin, kind, text) of what it put out."""
    found: list[tuple[float, str, str]] = []
    began = time.monotonic()

    def hook(message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        text = content.get("text", content.get("data", {}).get("text/plain", ""))
        if kind in ("stream", "display_data", "update_display_data", "execute_result"):
            found.append((time.monotonic() - began, content.get("name", kind), text))

    kernel.client.execute_interactive(code, timeout=90, output_hook=hook)
    return found


def later(kernel: Any, message: str, wanted: str) -> str:
    """Wait for text that comes for a cell which has ended; returns all text up to it."""
    text, end = "", time.monotonic() + 30
    while wanted not in text and time.monotonic() < end:
        found = kernel.client.get_iopub_msg(timeout=30)
        if found["parent_header"].get("msg_id") == message and found["msg_type"] == "stream":
            text += found["content"]["text"]
    return text


def test_progress_bar_moves_while_the_cell_runs(grid):
    grid.ok("%%grid\nfrom tqdm import tqdm")
    found = streamed(
        grid, "%%grid\nimport time\nfor i in tqdm(range(8)):\n    time.sleep(0.25)\nprint('end')"
    )
    bars = [(when, text) for when, name, text in found if name == "stderr"]
    seen = {int(n): when for when, text in bars for n in re.findall(r"(\d)/8", text)}
    assert seen.keys() == set(range(9))
    # Seen as they came: two seconds of work are between the first and the last.
    assert seen[8] - seen[0] > 1.5 and seen[4] - seen[0] > 0.5
    assert "".join(text for _, text in bars).startswith("\r")
    # What a terminal makes of it is the last bar alone.
    last = "".join(text for _, text in bars).rstrip("\n").split("\r")[-1]
    assert last.startswith("100%|██████████| 8/8")


def test_bar_of_widgets_moves_as_text(grid):
    pytest.importorskip("ipywidgets")
    found = streamed(
        grid,
        "%%grid\nfrom tqdm.notebook import tqdm\nimport time\n"
        "for i in tqdm(range(10)):\n    time.sleep(0.1)",
    )
    updates = [text for _, name, text in found if name == "update_display_data" and "/10" in text]
    assert len(updates) >= 3 and updates[-1].startswith("100%")
    assert "widgets show as text" in found[-1][2]


def test_no_model_of_a_widget_is_named(grid):
    pytest.importorskip("ipywidgets")
    reply = grid.ok("%%grid\nimport ipywidgets as w\ndisplay(w.IntSlider(3))\nw.Text('x')")
    shown = [m["content"]["data"] for m in reply.messages if "data" in m["content"]]
    assert not any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    assert "IntSlider(value=3)" in reply.of("display_data") and "Text(value='x')" in reply.result


def test_carriage_returns_colours_and_flushes_arrive_as_they_are(grid):
    reply = grid.ok(
        "%%grid\nimport sys, time\nprint('\\x1b[31mred\\x1b[0m')\nfor i in range(3):\n"
        "    print(i, end='\\r', flush=True)\n    time.sleep(0.1)\nprint('done')"
    )
    assert "".join(t for k, t in reply.outputs if k == "stdout") == (
        "\x1b[31mred\x1b[0m\n0\r1\r2\rdone\n"
    )


def test_text_without_an_end_of_line_is_seen_soon(grid):
    found = streamed(
        grid, "%%grid\nimport time\nprint('working', end='')\ntime.sleep(1.5)\nprint(' done')"
    )
    texts = [(when, text) for when, name, text in found if name == "stdout"]
    assert texts[0][1] == "working" and texts[-1][0] - texts[0][0] > 1


def test_late_output_goes_to_its_own_cell(grid):
    body = (
        "%%grid\nimport threading\ngo = threading.Event()\ndef work():\n    go.wait()\n"
        "    print('from the first')\nthreading.Thread(target=work, name='w').start()\nprint('now')"
    )
    first = grid.client.execute(body)
    grid.client.get_shell_msg(timeout=60)
    second = grid.run("%%grid\ngo.set()\nimport time\ntime.sleep(0.3)\nprint('second')")
    assert "from the first" not in second.of("stdout")
    third = grid.client.execute(body.replace("go.wait()", "go.wait(1.5)"))
    grid.client.get_shell_msg(timeout=60)
    # The kernel does nothing meanwhile; its output comes all the same, and for the third cell.
    assert "from the first" in later(grid, third, "from the first")
    assert first != third


def test_output_before_an_error_and_the_error_in_order(grid):
    reply = grid.run("%%grid\nimport os\nprint('one')\nos.write(1, b'two\\n')\nprint('three')\n1/0")
    assert "".join(t for k, t in reply.outputs if k == "stdout") == "one\ntwo\nthree\n"
    assert reply.outputs[-1][0] == "error"


def test_error_in_a_function_of_an_earlier_cell_shows_its_lines(grid):
    grid.ok("def early(x):\n    y = x\n    return 1 / y")
    grid.ok("%%grid\ndef middle(x):\n    return early(x)")
    for way in ("%%grid\n", ""):
        error = grid.run(f"{way}middle(0)").error
        assert re.search(r"Cell In\[\d+\], line 3, in early\(x\)", error)
        assert re.search(r"Cell In\[\d+\], line 3, in middle\(x\)", error)
        assert "----> 3     return 1 / y" in error and "return early(x)" in error
        assert "gridnb/" not in error and "dynamic" not in error


def test_exception_group_shows_as_at_the_site(grid):
    reply = grid.run(
        "%%grid\ntry:\n    1 / 0\nexcept Exception as e:\n"
        "    raise ExceptionGroup('several', [e, KeyError('b')])"
    )
    assert reply.status == "error"
    assert "ExceptionGroup: several (2 sub-exceptions)" in reply.error
    assert "ZeroDivisionError: division by zero" in reply.error and "    1 / 0" in reply.error
    assert re.search(r"Cell In\[\d+\], line 3, in <module>", reply.error)
    for text in (reply.error, reply.of("stderr")):
        assert "gridnb" not in text and "run_cell_magic" not in text


def test_indentation_error_names_the_line_of_the_cell(grid):
    reply = grid.run("%%grid\ndef f():\n    return 1\n  return 2")
    assert re.search(r"Cell In\[\d+\], line 4", reply.error)
    assert "unindent does not match" in reply.error


def test_error_in_a_repr_is_the_cells_error(grid):
    body = "class Bad:\n    def __repr__(self):\n        raise ValueError('no text')\nBad()"
    for way in ("", "%%grid\n"):
        reply = grid.run(way + body)
        assert reply.status == "error" and "ValueError: no text" in reply.error
        assert "formatters" not in reply.error


def test_asyncio_is_as_in_a_kernel(grid):
    body = (
        "import asyncio\nasync def f():\n    return 5\nt = asyncio.create_task(f())\nr = await t\n"
        "del t\ntry:\n    c = f()\n    asyncio.run(c)\nexcept RuntimeError as e:\n    c.close()\n"
        "    s = str(e)\ndel c\nr, s"
    )
    plain, there = grid.ok(body).result, grid.ok(f"%%grid\n{body}").result
    assert plain == there and "5" in there and "cannot be called" in there


def test_figures_of_plotly_are_as_in_a_kernel(grid):
    pytest.importorskip("plotly")
    body = "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 2]))"
    kinds = []
    for way in ("%%grid --quiet\n", ""):
        shown = grid.ok(way + body).messages
        (first, *_) = (m for m in shown if m["msg_type"] in ("display_data", "execute_result"))
        kinds.append(sorted(first["content"]["data"]))
    assert kinds[0] == kinds[1] == ["application/vnd.plotly.v1+json"]


@pytest.mark.parametrize(
    "wait",
    [
        "import hashlib\nhashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)",
        "import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')",
        "import numpy as np\na = np.random.rand(3000, 3000)\nwhile True:\n    a @ a",
        "!sleep 60",
        "out = !sleep 60",
        "import asyncio\nawait asyncio.sleep(60)",
    ],
)
def test_interrupt_stops_the_cell_and_run_all(grid, wait):
    grid.ok("%%grid\nready = 1")
    grid.ok("for name in ('not_reached', 'also_not_reached'):\n    globals().pop(name, None)")
    pid = int(grid.value("__import__('os').getpid()"))
    waiting = grid.client.execute(f"%%grid\n{wait}\nnot_reached = 1", stop_on_error=True)
    following = grid.client.execute("also_not_reached = 1")
    time.sleep(1.5)
    pressed = time.monotonic()
    os.kill(pid, signal.SIGINT)
    replies = {}
    while len(replies) < 2:
        reply = grid.client.get_shell_msg(timeout=60)
        replies[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
        if len(replies) == 1:
            took = time.monotonic() - pressed
    assert replies == {waiting: "error", following: "aborted"}
    assert took < 30  # about a second; the machine of a test may be busy
    assert grid.value("'not_reached' in globals(), 'also_not_reached' in globals()") == (
        "(False, False)"
    )
    assert grid.ok("%%grid\nready + 1").result == "2"


def test_interrupt_frees_the_cores_that_dask_tasks_held(grid):
    grid.ok("%%grid --cores 2 --sites alpha\n1")
    body = (
        "%%grid\nimport time\nfrom distributed import get_client\n"
        "work = lambda n: [time.sleep(0.01) for _ in range(20_000)]\n"
        "futures = get_client().map(work, range(2), pure=False)\n[f.result() for f in futures]"
    )
    pid = int(grid.value("__import__('os').getpid()"))
    threading.Timer(3.0, os.kill, (pid, signal.SIGINT)).start()
    reply = grid.run(body)
    assert "KeyboardInterrupt" in reply.error
    assert "cannot be interrupted" not in reply.line
    # Were they still at work, this would take minutes.
    assert grid.ok("grid.client.submit(abs, -3).result(60)").result == "3"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%config InlineBackend.figure_format = 'svg'", "put it into a plain cell; what it sets"),
        ("%precision 2", "put it into a plain cell; what it sets"),
        ("%alias ll ls", "put it into a plain cell; what it sets"),
        ("%pip list", "%pip belongs to the notebook"),
        ("%tb", "%tb belongs to the notebook"),
        ("%matplotlib qt", "%matplotlib qt needs a screen or a widget"),
        ("breakpoint()", "breakpoint() cannot ask at a site"),
    ],
)
def test_what_makes_no_sense_at_a_site_is_one_line(grid, line, said):
    reply = grid.run(f"%%grid\n{line}")
    assert reply.status == "error" and said in reply.error
    if line.startswith("%"):
        assert len(reply.error.splitlines()) == 1


@pytest.mark.parametrize(
    ("cell", "out"),
    [
        ("%cd /\n%pwd", "'/'"),
        ("%time 6 * 7", "42"),
        ("%env HOME", "/"),
        ("x = !echo one\nx[0]", "'one'"),
        ("%matplotlib inline\n1", "1"),
    ],
)
def test_line_magics_run_at_the_site(grid, cell, out):
    assert out in grid.ok(f"%%grid\n{cell}").result


def test_settings_hold_at_the_site(grid):
    grid.ok("%precision 2")
    assert grid.ok("%%grid\n[2 / 3]").result == "[0.67]"
    grid.ok("%precision")
    assert grid.ok("%%grid\n[2 / 3]").result == "[0.6666666666666666]"
    grid.ok("import logging\nlogging.basicConfig(level='INFO', format='%(levelname)s %(message)s')")
    assert grid.ok("%%grid\nlogging.info('told')").of("stderr") == "INFO told\n"
    grid.ok("%config InlineBackend.figure_format = 'svg'\nimport matplotlib.pyplot as plt")
    reply = grid.ok("%%grid --quiet\nplt.figure(figsize=(1, 1))\nplt.plot([1])\nNone")
    shown = next(m for m in reply.messages if m["msg_type"] == "display_data")
    assert "image/svg+xml" in shown["content"]["data"]


def test_variable_that_did_not_travel_is_named_without_its_value(grid):
    grid.ok("import os\nos.environ['MY_TOKEN'] = 'hunter2'")
    reply = grid.ok("%%grid\nimport os\nos.environ.get('MY_TOKEN')")
    assert reply.result == "" and "MY_TOKEN" in reply.line
    assert "hunter2" not in reply.line
    assert "MY_TOKEN" not in grid.ok("%%grid\n1").line


def test_explain_says_what_sending_costs(grid):
    grid.ok("big = bytes(5000)")
    found = grid.ok("%%grid --explain\nlen(big)").of("display_data")
    assert "big" in found and "4.91 KiB" in found and "sending it costs nothing" in found
