"""One body, run as a notebook would run it."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import time
import tokenize
import traceback
import types
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gridnb.cells.loop import Loop
from gridnb.cells.streams import Outbox

if TYPE_CHECKING:
    from gridnb.cells.shell import CellShell

__all__ = ["Body", "Executed", "Executor"]

_HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Body:
    """A cell's text and where it stands in the notebook.

    Attributes
    ----------
    name
        File name for its code; the kernel uses the same.
    first
        The cell's first line (the magic), which counts in line numbers.
    flags
        ``from __future__`` flags of the notebook.
    alone
        Whether its value is wanted alone, however the notebook shows values.
    """

    text: str
    name: str
    count: int = 0
    first: str = "%%grid"
    flags: int = 0
    alone: bool = False


@dataclass
class Executed:
    """What running a body came to; `seconds` are real ones, `cpu_seconds` with children."""

    value: Any = None
    has: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    rendered: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Executor:
    """Runs bodies in the shell of this process.

    Parameters
    ----------
    may_interrupt
        Makes the context in which an interrupt is raised as KeyboardInterrupt.
    interrupted
        Called at once when one has ended a body.
    """

    def __init__(
        self,
        shell: CellShell,
        outbox: Outbox,
        *,
        speed: float,
        may_interrupt: Callable[[], AbstractContextManager[None]],
        interrupted: Callable[[], object],
    ) -> None:
        self._shell, self._outbox, self._speed = shell, outbox, speed
        self._may_interrupt, self._interrupted = may_interrupt, interrupted
        self._loop = Loop()

    def run(self, body: Body, module: types.ModuleType) -> Executed:
        """Run ``body`` in the namespace of ``module``; errors are part of what is returned."""
        done = Executed()
        shell = self._shell
        shell.enter(module)
        shell.execution_count = max(body.count, 1)
        started, cpu = time.monotonic(), _cpu()
        with shell.builtin_trap:
            shell.events.trigger("pre_execute")
            try:
                with self._may_interrupt():
                    try:
                        self._execute(body, module.__dict__, done)
                    except KeyboardInterrupt:
                        # Who interrupts wants it back now, from a slow site too.
                        raise
                    except BaseException:
                        self._hold_on(time.monotonic() - started)
                        raise
                    self._hold_on(time.monotonic() - started)
            except BaseException as error:  # noqa: BLE001 - the body's, part of the outcome
                done.error = error
                if isinstance(error, KeyboardInterrupt):
                    # Nobody has to lose patience while the rest is made ready.
                    self._outbox.put({"op": "stopped"})
                    self._interrupted()
                done.rendered = self._render(error, body)
            shell.events.trigger("post_execute")
            shell.events.trigger("post_run_cell", None)
        done.seconds, done.cpu_seconds = time.monotonic() - started, _cpu() - cpu
        return done

    def _hold_on(self, seconds: float) -> None:
        if self._speed < 1:
            time.sleep(seconds * (1 / self._speed - 1))

    def _execute(self, body: Body, space: dict[str, Any], done: Executed) -> None:
        shell = self._shell
        blank = _blank_lines(body.text)
        # A comment, since only in text that is Python a traceback finds the ends of statements.
        head = [f"# {body.first}\n", *["\n"] * blank]
        try:
            code = shell.transformed(body.text)
        except SyntaxError as error:
            shell.label(body.name, [*head, *body.text.splitlines(True)[blank:]], body.count)
            _place(error, body.name, len(head))
            raise
        shell.label(body.name, [*head, *code.splitlines(keepends=True)], body.count)
        flags = body.flags | ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        try:
            tree = compile(code, body.name, "exec", flags=flags, dont_inherit=True)
        except SyntaxError as error:
            _place(error, body.name, len(head))
            raise
        ast.increment_lineno(tree, len(head))
        # All of it in a running loop, as a kernel does: `asyncio.create_task` works.
        self._loop.run(self._statements(tree.body, body, code, space, done))

    async def _statements(
        self, nodes: list[ast.stmt], body: Body, code: str, space: dict[str, Any], done: Executed
    ) -> BaseException | None:
        how = "last_expr" if body.alone else self._shell.ast_node_interactivity
        silent, shown = _split(nodes, how)
        work: list[tuple[ast.mod, str]] = [
            *((ast.Module([node], []), "exec") for node in silent),
            *((ast.Interactive([node]), "single") for node in shown),
        ]
        quiet = _quiet(code)
        before = sys.displayhook
        sys.displayhook = lambda value: None if quiet else self._result(value, done)
        try:
            for node, mode in work:
                error = await _evaluate(node, mode, body, space)
                if error is not None:
                    return error
        finally:
            sys.displayhook = before
        return None

    def waiting(self) -> list[str]:
        """Names of asyncio tasks that go on only while a later body awaits something."""
        return self._loop.waiting()

    def _result(self, value: Any, done: Executed) -> None:
        if value is None:
            return
        done.value, done.has = value, True
        done.data, done.metadata, failed = self._shell.format_value(value)
        if done.data:
            self._outbox.put({"op": "result", "data": done.data, "metadata": done.metadata})
        if failed is not None:
            raise failed

    # -- errors ----------------------------------------------------------------------------

    def _render(self, error: BaseException, body: Body) -> list[str]:
        shell = self._shell
        _tidy(error.__cause__ or error.__context__, body.name)
        frames = _own_frames(error.__traceback__, body.name)
        try:
            if isinstance(error, SystemExit):
                return shell.render_short(error)
            if isinstance(error, SyntaxError) and error.filename == body.name:
                return shell.render_syntax(error, frames)
            if holds_group(error):
                # IPython has no way of its own for them.
                return shell.named(traceback.format_exception(type(error), error, frames))
            return shell.render(error, frames)
        except Exception:  # noqa: BLE001 - user classes raise what they like
            # A broken __str__ or source must not hide the error itself.
            return traceback.format_exception(type(error), error, frames)


async def _evaluate(
    node: ast.mod, mode: str, body: Body, space: dict[str, Any]
) -> BaseException | None:
    """Run one statement; returns its error, since no coroutine can raise StopIteration."""
    flags = body.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        # typeshed knows no other nodes than modules.
        code = compile(cast(ast.Module, node), body.name, mode, flags=flags, dont_inherit=True)
        value = eval(code, space)
        if code.co_flags & inspect.CO_COROUTINE:
            await value
    except BaseException as error:  # noqa: BLE001 - the body's, part of the outcome
        return error
    return None


def holds_group(error: BaseException | None) -> bool:
    """Whether an error is an exception group, or came up while one was handled."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return True
        error = error.__context__
    return False


def _own_frames(frames: types.TracebackType | None, name: str) -> types.TracebackType | None:
    """Leave out the frames through which gridnb called the cell."""
    found = frames
    while found is not None and found.tb_frame.f_code.co_filename != name:
        found = found.tb_next
    return _without_ours(found)


def _tidy(error: BaseException | None, name: str) -> None:
    """Leave them out of the errors that came before, too."""
    while error is not None:
        first = error.__traceback__
        if first is not None and first.tb_frame.f_code.co_filename.startswith(_HERE):
            error.__traceback__ = _own_frames(first, name)
        error = error.__cause__ or error.__context__


def _without_ours(frames: types.TracebackType | None) -> types.TracebackType | None:
    """Leave out the frames of what stands in for ``input`` and the like."""
    kept = []
    while frames is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(_HERE):
            kept.append(frames)
        frames = frames.tb_next
    found: types.TracebackType | None = None
    for each in reversed(kept):
        found = types.TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _blank_lines(text: str) -> int:
    """Leading blank lines, which IPython's transformation drops."""
    for count, line in enumerate(text.splitlines()):
        if line.strip():
            return count
    return 0


def _place(error: SyntaxError, name: str, lines: int) -> None:
    """Say where in the notebook it is: the cell's name, and its magic line counts."""
    error.filename = name
    if error.lineno is not None:
        error.lineno += lines
    if error.end_lineno is not None:
        error.end_lineno += lines
    if len(error.args) == 2:
        _, _, column, text, *_ = error.args[1]
        where = (name, error.lineno, column, text, error.end_lineno, error.end_offset)
        error.args = (error.args[0], where)


def _split(nodes: list[ast.stmt], how: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Statements that show nothing, and those that show values, as IPython's setting says."""
    if not nodes or how == "none":
        return nodes, []
    if how == "all":
        return [], nodes
    if how == "last_expr_or_assign" and (name := _target(nodes[-1])) is not None:
        nodes = [*nodes, ast.fix_missing_locations(ast.Expr(ast.Name(name, ast.Load())))]
    if how == "last" or isinstance(nodes[-1], ast.Expr):
        return nodes[:-1], nodes[-1:]
    return nodes, []


def _target(node: ast.stmt) -> str | None:
    """The one name that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) or len(targets) != 1:
        return None
    return targets[0].id if isinstance(targets[0], ast.Name) else None


def _quiet(code: str) -> bool:
    from IPython.core.displayhook import DisplayHook

    if ";" not in code:
        return False
    try:
        return bool(DisplayHook.semicolon_at_end_of_expression(code))
    except (tokenize.TokenError, SyntaxError):
        return False
