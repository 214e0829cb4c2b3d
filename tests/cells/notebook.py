"""A notebook without a browser: runs every case of the corpus plain and at a site, for a test.

Run as ``python -m tests.cells.notebook ADDRESS CA CERT KEY`` in a directory of the test.
Prints one JSON object: what each cell did, both ways.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import re
import sys
import traceback
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from gridnb.cells import ambient
from gridnb.cells.call import CellConnection, Run, apply
from gridnb.cells.capture import hidden
from gridnb.cells.frames import jsonable
from gridnb.errors import CaptureError
from tests.cells.corpus import CASES, KNOWN, Case

SHOWN: list[Any] = []


class Screen(io.TextIOBase):
    """Standard output or error of the notebook, the same object for all of its cells."""

    def __init__(self, name: str) -> None:
        self.name, self.text = name, ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def take(self) -> str:
        text, self.text = self.text, ""
        return text


OUT, ERR = Screen("stdout"), Screen("stderr")


class Publisher(DisplayPublisher):
    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **_):
        SHOWN.append(["display", plain(data), plain(metadata or {}), transient or {}, update])

    def clear_output(self, wait=False):
        SHOWN.append(["clear", wait])


class Hook(DisplayHook):
    def __call__(self, result=None):
        if result is not None and not self.quiet():
            data, metadata = self.compute_format_data(result)
            self.update_user_ns(result)
            self.fill_exec_result(result)
            if data:
                SHOWN.append(["result", plain(data), plain(metadata)])


class Shell(InteractiveShell):
    display_pub_class = Type(Publisher)
    displayhook_class = Type(Hook)

    def enable_gui(self, gui=None):
        pass


class Sink:
    def __init__(self) -> None:
        self.text = {"stdout": "", "stderr": ""}

    def stream(self, name, text):
        self.text[name] += text

    def display(self, data, metadata, transient, update):
        SHOWN.append(["display", data, metadata, transient, update])

    def clear(self, wait):
        SHOWN.append(["clear", wait])

    def result(self, data, metadata):
        SHOWN.append(["result", data, metadata])


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=jsonable))


def clean(text: str) -> str:
    text = re.sub(r"0x[0-9a-fA-F]{6,}", "0x", text.replace("\r\n", "\n"))
    text = re.sub(r"<ipython-input-[^>]*>:\d+", "<cell>", text)
    text = re.sub(r"<(ipython-input-[^>]*|tokenize)>'?, (line )?\d+", "<cell>", text)
    text = re.sub(r"[\d.]+(e[+-]?\d+)? [mµμun]?s\b", "T s", text)
    return re.sub(r'"?id"?: ?"[^"]*"|plotly-graph-div|[0-9a-f]{8}-[0-9a-f-]{27}', "", text)


def arguments(error: BaseException) -> str:
    # A line of a cell at a site counts from its magic.
    return "" if isinstance(error, SyntaxError) else clean(repr(error.args))


def text_of(value: Any) -> str:
    try:
        return clean(repr(value))
    except Exception as error:  # noqa: BLE001 - a class of a case
        return f"no repr: {error}"


def shape(value: Any) -> str:
    # The order of a set is its process's own.
    return text_of(sorted(value, key=repr) if isinstance(value, set) else value)


def frames(lines: list[str]) -> list[str]:
    """What a traceback says of each frame, less the numbers: a magic's line counts, too."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
    kept = re.compile(r"-*> \d+ (.*)|(Cell In\[\d+\]|File .*:\d+), (line \d+, )?(in .*)|(\w+: .*)")
    found = (kept.match(line) for line in text.splitlines())
    return [clean(" ".join(filter(None, (f[1], f[4], f[5])))) for f in found if f]


def scrub(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items()}
    return [scrub(item) for item in value] if isinstance(value, list) else value


def plain_run(shell: Shell, body: str) -> dict[str, Any]:
    trace: list[str] = []
    shell._showtraceback = lambda kind, error, lines: trace.extend(lines)
    done = shell.run_cell(body, store_history=True)
    error = done.error_before_exec or done.error_in_exec
    return seen(shell, OUT.take(), ERR.take(), error, done.result) | {"trace": frames(trace)}


def grid_run(shell: Shell, body: str, connection: CellConnection) -> dict[str, Any]:
    sink = Sink()
    run = Run("r", body, shell.user_ns, count=shell.execution_count, shell=shell)
    try:
        outcome = connection.run(run, sink=sink)
    except CaptureError as error:
        return seen(shell, "", "", error, None) | {"trace": []}
    apply(outcome, shell.user_ns)
    return seen(shell, sink.text["stdout"], sink.text["stderr"], outcome.error, outcome.value) | {
        "trace": frames(outcome.rendered),
        "rebound": outcome.rebound,
    }


def seen(shell: Shell, out: str, err: str, error: Any, value: Any) -> dict[str, Any]:
    names = {
        n: shape(v)
        for n, v in shell.user_ns.items()
        if not hidden(n, shell.user_ns, shell) and n != "__warningregistry__"
    }
    return {
        "stdout": clean(out),
        "stderr": clean(err),
        "shown": scrub(SHOWN),
        "value": text_of(value),
        "error": error and [type(error).__name__, clean(str(error)), arguments(error)],
        "names": names,
    }  # fmt: skip


def perform(
    shell: Shell, case: Case, connection: CellConnection | None, base: dict[str, str]
) -> dict[str, Any]:
    gc.freeze()  # or each reset would go through all that was ever imported
    shell.reset(new_session=True)
    shell.compile.reset_compiler_flags()
    ambient.restore({k: v for k, v in base.items() if k not in ("random", "numpy", "cwd")})
    for cell in case.setup:
        done = shell.run_cell(cell, store_history=True)
        done.raise_error()
    SHOWN.clear()
    OUT.take()
    ERR.take()
    if connection is None:
        found = plain_run(shell, case.body)
    else:
        found = grid_run(shell, case.body, connection)
    found["checks"] = {}
    for check in case.checks:
        try:
            found["checks"][check] = clean(repr(eval(check, shell.user_ns)))
        except Exception as error:  # noqa: BLE001 - part of what is compared
            found["checks"][check] = f"failed: {error!r}"
    return found


def base_of(shell: Shell) -> dict[str, str]:
    """The settings that each case begins with."""
    shell.run_cell("import pandas, matplotlib.pyplot, numpy, decimal, logging, locale")
    # Each reset of the shell collects garbage, among all that these modules made.
    gc.freeze()
    return ambient.here()


def main() -> None:
    address, *tls = sys.argv[1 : 4 + 1]
    real = sys.stdout
    config = Config()
    config.HistoryManager.enabled = False
    shell = Shell.instance(config=config)
    # Whoever is run with -m is `__main__`; in a notebook the notebook is.
    connection = CellConnection(
        address, tls_ca=tls[0], tls_cert=tls[1], tls_key=tls[2], site="alpha"
    )
    found: dict[str, Any] = {}
    base = base_of(shell)
    for case in [*CASES, *(known.case for known in KNOWN)]:
        both: dict[str, Any] = {}
        for way, use in (("plain", None), ("grid", connection)):
            try:
                with contextlib.redirect_stdout(OUT), contextlib.redirect_stderr(ERR):
                    both[way] = perform(shell, case, use, base)
            except BaseException:  # noqa: BLE001 - the test shows it
                both[way] = {"crash": traceback.format_exc()}
        found[case.name] = both
    connection.close()
    print(json.dumps(found), file=real)


if __name__ == "__main__":
    main()
