"""Modules that lie beside the notebook: their sources travel, so that ``import helpers`` works."""

from __future__ import annotations

import ast
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import sys
import sysconfig
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gridnb.cells.marks import Marks, marks

__all__ = ["Finder", "Source", "local_sources"]


@dataclass(frozen=True)
class Source:
    """A module's source text, as it lies in the kernel's file system."""

    path: str
    text: str
    package: bool

    @property
    def digest(self) -> str:
        """Name of this version."""
        return hashlib.blake2b(f"{self.path}\0{self.text}".encode(), digest_size=20).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Write as a JSON object."""
        return asdict(self)


@lru_cache(maxsize=1)
def _foreign() -> tuple[str, ...]:
    """Directories whose modules are installed at every site."""
    paths = sysconfig.get_paths()
    own = str(Path(__file__).resolve().parents[1])
    return (*{str(Path(paths[k]).resolve()) for k in ("stdlib", "platstdlib")}, own)


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return spec  # type: ignore[no-any-return]
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        above = _find(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    return importlib.machinery.PathFinder.find_spec(name, path)


@lru_cache(maxsize=4096)
def _installed(origin: str) -> bool:
    path = str(Path(origin).resolve())
    return "site-packages" in path or "dist-packages" in path or path.startswith(_foreign())


def _source(name: str) -> Source | None:
    top = name.partition(".")[0]
    if not name or top == "__main__" or top in sys.stdlib_module_names or top == "gridnb":
        return None
    spec = _find(name)
    origin = getattr(spec, "origin", None)
    if spec is None or origin is None or not origin.endswith(".py") or _installed(origin):
        return None
    try:
        text = Path(origin).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return Source(origin, text, spec.submodule_search_locations is not None)


def local_sources(names: Iterable[str]) -> dict[str, Source]:
    """Sources of those of the named modules that are local, and of what they import."""
    found: dict[str, Source] = {}
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        source = _source(name)
        if source is not None:
            found[name] = source
            stack += _imports(name, source)
            if "." in name:
                stack.append(name.rpartition(".")[0])
    return found


def _imports(name: str, source: Source) -> list[str]:
    try:
        tree = ast.parse(source.text)
    except SyntaxError:
        return []
    package = name if source.package else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """At the site: imports the local modules of the notebook from the sources that came along."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        #: What the modules were like when the run began, or when it imported them.
        self.marks: dict[str, Marks] = {}

    def take(self, sources: Mapping[str, Source]) -> None:
        """Serve these versions from now on; modules that changed are imported anew."""
        known = self._sources
        changed = {n for n, s in sources.items() if n in known and known[n] != s}
        self._sources = {**known, **sources}
        if changed or any(n in sys.modules and n not in known for n in sources):
            for name in self._sources:
                sys.modules.pop(name, None)
        self.marks = self.look()

    def look(self) -> dict[str, Marks]:
        """What those that are imported are like now."""
        return {n: marks(sys.modules[n]) for n in self._sources if n in sys.modules}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module that came along."""
        source = self._sources.get(fullname)
        if source is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            source.path,
            loader=self,
            submodule_search_locations=[str(Path(source.path).parent)] if source.package else None,
        )

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the source in the module."""
        source = self._sources[module.__name__]
        lines = source.text.splitlines(keepends=True)
        linecache.cache[source.path] = (len(source.text), None, lines, source.path)
        exec(compile(source.text, source.path, "exec", dont_inherit=True), module.__dict__)
        self.marks[module.__name__] = marks(module)
