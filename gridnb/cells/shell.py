"""The IPython shell of a cell process: magics, formatters, display and tracebacks."""

from __future__ import annotations

import builtins
import getpass
import linecache
import traceback
import types
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, cast

from IPython.core.compilerop import CachingCompiler
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any as AnyTrait
from traitlets import Type

from gridnb.cells.streams import Outbox
from gridnb.errors import CellError

__all__ = ["CellShell", "Publisher"]

_AWAY = (
    "grid", "pip", "conda", "mamba", "micromamba", "uv", "who", "whos", "who_ls", "history",
    "hist", "recall", "rerun", "rep", "save", "edit", "load", "loadpy", "store", "reset",
    "reset_selective", "gui", "notebook", "pastebin", "debug", "pdb", "logstart", "logstop",
    "connect_info", "qtconsole", "load_ext", "reload_ext", "unload_ext", "autoreload",
)  # fmt: skip


class Publisher(DisplayPublisher):
    """Sends display data to the kernel."""

    outbox = AnyTrait()

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
                "data": data,
                "metadata": metadata or {},
                "transient": transient or {},
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
    refused: ClassVar[Sequence[str]] = _AWAY

    @classmethod
    def start(cls, outbox: Outbox) -> CellShell:
        """Make the shell of this process."""
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.HistoryManager.hist_file = ":memory:"
        shell: CellShell = cls.instance(config=config, user_module=types.ModuleType("__main__"))
        cast(Publisher, shell.display_pub).outbox = outbox
        shell._refuse_magics()
        # The formatters of a notebook, not of a terminal.
        formatter: Any = shell.display_formatter
        formatter.active_types = formatter.format_types
        builtins.input = no_input
        getpass.getpass = no_input
        return shell

    def _refuse_magics(self) -> None:
        for name in self.refused:
            self.register_magic_function(_away(name), "line", name)
            self.register_magic_function(_away(name), "cell", name)

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

    def format_value(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Mime bundle and metadata of a value."""
        formatter: Any = self.display_formatter
        data, metadata = formatter.format(value)
        return data, metadata

    def render(self, error: BaseException, frames: types.TracebackType | None) -> list[str]:
        """A traceback as a notebook shows it."""
        tb: Any = self.InteractiveTB
        return list(tb.structured_traceback(type(error), error, frames, tb_offset=0))

    def render_syntax(self, error: SyntaxError, frames: types.TracebackType | None) -> list[str]:
        """A traceback of a cell that is not Python."""
        tb: Any = self.SyntaxTB
        listed = traceback.extract_tb(frames)
        return list(tb.structured_traceback(type(error), error, listed))

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

    def system_piped(self, cmd: str) -> None:
        """``!command``: its output comes back through the descriptors."""
        self.system_raw(cmd)  # type: ignore[no-untyped-call]

    system = system_piped

    def showtraceback(self, *args: Any, **named: Any) -> None:
        """Errors are part of the outcome; this is for hooks that report their own."""
        super().showtraceback(*args, **named)


def no_input(*_args: object, **_named: object) -> NoReturn:
    """Stands for ``input`` and ``getpass`` at a site."""
    raise CellError("input() cannot be asked for at a site; pass the value in a variable")


def _away(name: str) -> Any:
    def magic(line: str, cell: str | None = None) -> NoReturn:
        raise UsageError(
            f"%{name} belongs to the notebook and not into a cell at a site; "
            "put it into a plain cell"
        )

    return magic
