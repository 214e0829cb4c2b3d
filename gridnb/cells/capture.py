"""Which names a cell's body reads: what the compiler says, less what the body sets before.

Every simple statement is compiled on its own, so that scopes (functions,
comprehensions, class bodies, decorators, defaults, f-strings) are the
compiler's, not a copy of its rules. A name that is surely bound before it is
read (``df = load(); df.head()``) is not captured.
"""

from __future__ import annotations

import ast
import dis
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any

__all__ = ["Capture", "bound", "capture", "global_names", "hidden", "submodules"]

_LOADS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS"})
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_HIDDEN = re.compile(
    r"In|Out|_i+|_i?\d+|_[doi]h|get_ipython|exit|quit|"
    r"__(name|doc|package|loader|spec|file|builtins?|annotations|main__|mp_main)__"
)
_MAGICS = frozenset({"run_line_magic", "run_cell_magic", "system", "getoutput"})
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass
class Capture:
    """What a body needs from the user's namespace and what it imports.

    Attributes
    ----------
    reads
        Names to be sent, in the order of first use.
    deletes
        Names that are only deleted: they must exist, their value need not travel.
    imports
        Modules that the body imports, dotted.
    codes
        The compiled pieces, for :func:`submodules`.
    """

    reads: list[str] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    codes: list[CodeType] = field(default_factory=list)


def capture(
    body: str,
    namespace: Mapping[str, Any],
    *,
    shell: Any = None,
    transform: Callable[[str], str] | None = None,
    without: Iterable[str] = (),
) -> Capture:
    """Find what ``body`` reads in ``namespace``.

    Parameters
    ----------
    shell
        The notebook's shell: its transformations apply, and the names that it set itself
        (``In``, ``_``, …) stay hidden. Without one, IPython's standard transformations.
    without
        Names that are bound in some other way.
    """
    found = Capture()
    try:
        tree = ast.parse((transform or _transformation(shell))(body))
    except SyntaxError:
        # The site says so, with the cell's own lines.
        return found
    known = {name for name in namespace if not hidden(name, namespace, shell)} - set(without)
    _Flow(known, found).statements(tree.body, set())
    return found


def bound(body: str, shell: Any = None) -> list[str]:
    """Names that a body binds in the notebook, as far as its text says."""
    try:
        tree = ast.parse(_transformation(shell)(body))
    except SyntaxError:
        return []
    return sorted({name for node in tree.body for name in _binds(node)})


def hidden(name: str, namespace: Mapping[str, Any], shell: Any = None) -> bool:
    """Whether a name is IPython's own and not the user's."""
    value = namespace[name]
    own = getattr(shell, "user_ns_hidden", {})
    if name in own and own[name] is value:
        return True
    if not name.strip("_"):
        return shell is None or value is getattr(shell.displayhook, name, None)
    return _HIDDEN.fullmatch(name) is not None


def _transformation(shell: Any) -> Callable[[str], str]:
    if shell is not None:
        return shell.transform_cell  # type: ignore[no-any-return]
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell


@lru_cache(maxsize=4096)
def global_names(code: CodeType) -> frozenset[str]:
    """Names that a code object, and all code inside it, loads from its globals."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname in _LOADS}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= global_names(constant)
    return frozenset(found)


def submodules(codes: Iterable[CodeType], modules: Iterable[ModuleType]) -> set[str]:
    """Submodules that are imported here and reached by attribute (``xml.dom.minidom``)."""
    import sys

    words = {word for code in codes for word in _words(code)}
    found = set()
    for prefix in {module.__name__ + "." for module in modules if hasattr(module, "__path__")}:
        for name in list(sys.modules):
            if name.startswith(prefix) and words.issuperset(name[len(prefix) :].split(".")):
                found.add(name)
    return found


def _words(code: CodeType) -> set[str]:
    words = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            words |= _words(constant)
    return words


class _Flow:
    """Walks the statements of a body in order; `have` is what is surely bound so far."""

    def __init__(self, known: set[str], found: Capture) -> None:
        self.known = known
        self.found = found

    def statements(self, body: Iterable[ast.stmt], have: set[str]) -> set[str]:
        for statement in body:
            have = self.statement(statement, have)
        return have

    def statement(self, node: ast.stmt, have: set[str]) -> set[str]:
        match node:
            case ast.If():
                self.reads(ast.Expr(node.test), have)
                have = have | _binds(node.test)
                then, other = self.statements(node.body, have), self.statements(node.orelse, have)
                return _ends(node.body, then, other) & _ends(node.orelse, other, then)
            case ast.For() | ast.AsyncFor():
                self.reads(ast.Expr(node.iter), have)
                self.target(node.target, have)
                self.statements(node.body, have | _binds(node.target))
                return self.statements(node.orelse, have) if node.orelse else have
            case ast.While():
                self.reads(ast.Expr(node.test), have)
                self.statements(node.body + node.orelse, have | _binds(node.test))
                return have | _binds(node.test)
            case ast.With() | ast.AsyncWith():
                return self.within(node, have)
            case ast.Try() | ast.TryStar():
                return self.attempt(node, have)
            case ast.Match():
                return self.matching(node, have)
            case ast.Break() | ast.Continue() | ast.Pass() | ast.Return():
                if isinstance(node, ast.Return) and node.value is not None:
                    self.reads(ast.Expr(node.value), have)
                return have
        return self.simple(node, have)

    def simple(self, node: ast.stmt, have: set[str]) -> set[str]:
        self.imports(node)
        self.reads(node, have)
        if isinstance(node, ast.Delete):
            gone = {t.id for t in node.targets if isinstance(t, ast.Name)}
            for name in sorted(gone & self.known - have - {*self.found.reads, *self.found.deletes}):
                self.found.deletes.append(name)
            return have - gone
        return have | _binds(node)

    def within(self, node: ast.With | ast.AsyncWith, have: set[str]) -> set[str]:
        for item in node.items:
            self.reads(ast.Expr(item.context_expr), have)
            if item.optional_vars is not None:
                self.target(item.optional_vars, have)
                have = have | _binds(item.optional_vars)
        after = self.statements(node.body, have)
        swallows = any("suppress" in ast.dump(item.context_expr) for item in node.items)
        return have if swallows else after

    def attempt(self, node: ast.Try | ast.TryStar, have: set[str]) -> set[str]:
        after = self.statements(node.orelse, self.statements(node.body, have))
        for handler in node.handlers:
            if handler.type is not None:
                self.reads(ast.Expr(handler.type), have)
            named = {handler.name} if handler.name else set()
            handled = self.statements(handler.body, have | named)
            after &= _ends(handler.body, handled, after)
        self.statements(node.finalbody, have)
        return after | {name for part in node.finalbody for name in _binds(part)}

    def matching(self, node: ast.Match, have: set[str]) -> set[str]:
        cases = [ast.match_case(c.pattern, c.guard, [ast.Pass()]) for c in node.cases]
        self.reads(ast.Match(node.subject, cases), have)
        for case in node.cases:
            self.statements(case.body, have | _binds(case.pattern))
        return have

    def target(self, node: ast.expr, have: set[str]) -> None:
        self.reads(ast.Assign([node], ast.Constant(None)), have)

    def reads(self, node: ast.stmt, have: set[str]) -> None:
        module = ast.Module([node], [])
        ast.fix_missing_locations(module)
        try:
            code = compile(module, "<cell>", "exec", flags=_FLAGS, dont_inherit=True)
        except (SyntaxError, ValueError):
            # The site says so, with the cell's own lines.
            return
        self.found.codes.append(code)
        for name in sorted(self.known & global_names(code) - have):
            self.read(name)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.read(node.target.id, have)
        for name in _spoken(node, self.known - have):
            self.read(name)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom) and inner is not node:
                self.imports(inner)

    def read(self, name: str, have: Iterable[str] = ()) -> None:
        if name in self.known and name not in have and name not in self.found.reads:
            self.found.reads.append(name)
            if name in self.found.deletes:
                self.found.deletes.remove(name)

    def imports(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self.found.imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            self.found.imports.append(node.module)
            self.found.imports += [f"{node.module}.{alias.name}" for alias in node.names]


def _ends(body: list[ast.stmt], after: set[str], other: set[str]) -> set[str]:
    """What a branch leaves bound; one that leaves the cell binds nothing less than the other."""
    return other if body and isinstance(body[-1], ast.Raise) else after


def _binds(node: ast.AST) -> set[str]:
    """Names that a statement or target binds in the scope of the cell, if it completes."""
    found: set[str] = set()
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Lambda():
            return found
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).partition(".")[0] for alias in node.names} - {"*"}
        case ast.Name(ctx=ast.Store()):
            return {node.id}
        case ast.AnnAssign(value=None) | ast.BoolOp() | ast.IfExp():
            return found
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return found
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            found.add(name)
        case ast.MatchMapping(rest=str(rest)):
            found.add(rest)
        case ast.MatchOr(patterns=[first, *_]):
            return _binds(first)
        case ast.AugAssign():
            return {node.target.id} if isinstance(node.target, ast.Name) else found
    for child in ast.iter_child_nodes(node):
        found |= _binds(child)
    return found


def _spoken(node: ast.AST, known: set[str]) -> list[str]:
    """Names in the text of magics and shell commands, which the compiler does not see."""
    found: list[str] = []
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in _MAGICS
            and isinstance(call.func.value, ast.Call)
            and getattr(call.func.value.func, "id", "") == "get_ipython"
        ):
            texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
            words = _WORD.findall(" ".join(str(text) for text in texts))
            found += [word for word in words if word in known]
    return found
