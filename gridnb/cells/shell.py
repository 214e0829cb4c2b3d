"""The IPython shell of a cell process: magics, formatters, display and tracebacks."""

from __future__ import annotations

import builtins
import getpass
import linecache
import os
import subprocess
import sys
import traceback
import types
from collections.abc import Sequence
from typing import Any, NoReturn, cast

from IPython.core.compilerop import CachingCompiler
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import LSString, SList
from traitlets import Any as AnyTrait
from traitlets import Type

from gridnb.cells.streams import Outbox
from gridnb.cells.textwidgets import TextWidgets
from gridnb.errors import CellError

__all__ = ["CellShell", "Publisher", "refusal"]

#: They work on the notebook, its history or its front end.
_AWAY = (
    "grid", "pip", "conda", "mamba", "micromamba", "uv", "who", "whos", "who_ls", "history",
    "hist", "recall", "rerun", "rep", "save", "edit", "load", "loadpy", "store", "reset",
    "reset_selective", "gui", "notebook", "pastebin", "debug", "pdb", "logstart", "logstop",
    "logon", "logoff", "logstate", "connect_info", "qtconsole", "load_ext", "reload_ext",
    "unload_ext", "autoreload", "aimport", "tb", "macro", "bookmark", "clear", "autosave",
    "subshell", "killbgscripts",
)  # fmt: skip
#: They set up IPython: in a plain cell, since what they set holds at the sites, too.
_SETTINGS = (
    "config", "precision", "pprint", "xmode", "colors", "doctest_mode", "autocall", "automagic",
    "autoawait", "alias", "alias_magic", "unalias", "rehashx", "code_wrap",
)  # fmt: skip
_INLINE = (None, "auto", "inline", "agg")


class Publisher(DisplayPublisher):
    """Sends display data to the kernel."""

    outbox = AnyTrait()
    widgets = AnyTrait()

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: Any = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_kwargs: Any,
    ) -> None:
        """Send one mime bundle."""
        self.outbox.put(
            {
                "op": "display",
                "data": self.widgets.text(data),
                "metadata": metadata or {},
                "transient": self.widgets.follow(data, transient or {}),
                "update": update,
            }
        )

    def clear_output(self, wait: bool = False) -> None:
        """Clear the cell's output, when ``wait`` only before the next comes."""
        self.outbox.put({"op": "clear", "wait": wait})


class _Compiler(CachingCompiler):
    """Names code as the kernel does, so that tracebacks agree."""

    name: str | None = None

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return self.name or super().get_code_name(raw_code, transformed_code, number)

    def label(self, name: str, lines: Sequence[str], number: int) -> None:
        """Know the source of a cell of the notebook."""
        self._filename_map[name] = number
        linecache.cache[name] = (sum(map(len, lines)), None, list(lines), name)


class CellShell(InteractiveShell):
    """One per cell process; its namespace is the current run's."""

    display_pub_class = Type(Publisher)
    compiler_class = Type(_Compiler)
    _failures: list[BaseException] | None = None

    @classmethod
    def start(cls, outbox: Outbox) -> CellShell:
        """Make the shell of this process."""
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.HistoryManager.hist_file = ":memory:"
        shell: CellShell = cls.instance(config=config, user_module=types.ModuleType("__main__"))
        publisher = cast(Publisher, shell.display_pub)
        publisher.outbox = outbox
        publisher.widgets = TextWidgets(outbox.put, shell._text)
        shell._refuse_magics()
        # The formatters of a notebook, not of a terminal.
        formatter: Any = shell.display_formatter
        formatter.active_types = formatter.format_types
        builtins.input = no_input
        getpass.getpass = no_input
        sys.breakpointhook = no_debugger
        return shell

    def _refuse_magics(self) -> None:
        for name in (*_AWAY, *_SETTINGS):
            # Not registered: a magic called `config` is what the registering class cannot hold.
            for kind in ("line", "cell"):
                self.magics_manager.magics[kind][name] = _away(name)

    def enter(self, module: types.ModuleType) -> None:
        """Make a module's namespace the user's."""
        self.user_module = module
        self.user_ns = module.__dict__

    def label(self, name: str, lines: Sequence[str], number: int) -> None:
        """Know the source of a cell of the notebook by its file name."""
        cast(_Compiler, self.compile).label(name, lines, number)

    def transformed(self, text: str) -> str:
        """Python code for a cell with magics and shell commands."""
        return str(self.transform_cell(text))  # type: ignore[no-untyped-call]

    def format_value(
        self, value: Any
    ) -> tuple[dict[str, Any], dict[str, Any], BaseException | None]:
        """Mime bundle and metadata of a value, and the error that came up on the way."""
        formatter: Any = self.display_formatter
        self._failures = []
        try:
            data, metadata = formatter.format(value)
        finally:
            failures, self._failures = self._failures, None
        for error in failures[:1]:
            error.__traceback__ = _outside_ipython(error.__traceback__)
        failed = failures[0] if failures else None
        return cast(Publisher, self.display_pub).widgets.text(data), metadata, failed

    def _showtraceback(self, etype: Any, evalue: BaseException, stb: list[str]) -> None:
        """What a formatter or hook reports; a kernel would show it beside the output."""
        if self._failures is not None:
            self._failures.append(evalue)
        else:
            sys.stderr.write("\n".join(stb) + "\n")

    def _text(self, value: Any) -> str | None:
        formatter: Any = self.display_formatter
        text: str | None = formatter.formatters["text/plain"](value)
        return text

    def finish(self) -> list[str]:
        """The body has ended; returns what a user should know of what it has shown."""
        found: list[str] = cast(Publisher, self.display_pub).widgets.finish()
        return found

    def render(self, error: BaseException, frames: types.TracebackType | None) -> list[str]:
        """A traceback as a notebook shows it."""
        tb: Any = self.InteractiveTB
        return list(tb.structured_traceback(type(error), error, frames, tb_offset=0))

    def render_syntax(self, error: SyntaxError, frames: types.TracebackType | None) -> list[str]:
        """A traceback of a cell that is not Python."""
        tb: Any = self.SyntaxTB
        listed = traceback.extract_tb(frames)
        return list(tb.structured_traceback(type(error), error, listed))

    def named(self, lines: Sequence[str]) -> list[str]:
        """Lines of a plain traceback, with cells called what a notebook calls them."""
        text = "".join(lines)
        for name, number in cast(_Compiler, self.compile)._filename_map.items():
            text = text.replace(f'File "{name}"', f"Cell In[{number}]")
        return text.splitlines()

    def render_short(self, error: BaseException) -> list[str]:
        """Class and text alone."""
        tb: Any = self.InteractiveTB
        return list(tb.get_exception_only(type(error), error))

    def init_virtualenv(self) -> None:
        """A site has the environment it has."""

    def ask_exit(self) -> None:
        """``exit`` in a cell ends the cell, not the process."""
        raise SystemExit

    def enable_gui(self, gui: Any = None) -> None:
        """There is no screen at a site."""

    def enable_matplotlib(self, gui: Any = None) -> Any:
        """``%matplotlib``: figures of a site are pictures."""
        if gui not in _INLINE:
            raise UsageError(
                f"%matplotlib {gui} needs a screen or a widget, and a site has none; "
                "use %matplotlib inline there"
            )
        return super().enable_matplotlib("inline" if gui == "auto" else gui)  # type: ignore[no-untyped-call]

    def system_piped(self, cmd: str) -> None:
        """``!command``: its output comes back through the descriptors.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted; IPython would go on with the next line.
        """
        expand: Any = self.var_expand
        text = expand(cmd, depth=1)
        code = subprocess.call(text, shell=True, executable=os.environ.get("SHELL"))
        self.user_ns["_exit_code"] = 128 - code if code > 128 else code

    system = system_piped

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """``x = !command``; raises KeyboardInterrupt as :meth:`system_piped` does."""
        expand: Any = self.var_expand
        done = subprocess.run(
            expand(cmd, depth=depth + 1),
            shell=True,
            executable=os.environ.get("SHELL"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        text = done.stdout.decode("utf-8", "replace")
        return SList(text.splitlines()) if split else LSString(text)


def _outside_ipython(frames: types.TracebackType | None) -> types.TracebackType | None:
    """Leave out the formatter through which a class of the user was asked."""
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(
        "IPython"
    ):
        frames = frames.tb_next
    return frames


def no_input(*_args: object, **_named: object) -> NoReturn:
    """Stands for ``input`` and ``getpass`` at a site."""
    raise CellError("input() cannot be asked for at a site; pass the value in a variable")


def no_debugger(*_args: object, **_named: object) -> NoReturn:
    """Stands for ``breakpoint`` at a site."""
    raise CellError("breakpoint() cannot ask at a site; debug the cell without %%grid")


def refusal(name: str) -> str | None:
    """Say why a magic is not for a cell at a site; None if it is."""
    if name not in _AWAY and name not in _SETTINGS:
        return None
    holds = "; what it sets holds at the sites, too" if name in _SETTINGS else ""
    return (
        f"%{name} belongs to the notebook and not into a cell at a site; "
        f"put it into a plain cell{holds}"
    )


def _away(name: str) -> Any:
    def magic(line: str, cell: str | None = None) -> NoReturn:
        raise UsageError(refusal(name))

    return magic
