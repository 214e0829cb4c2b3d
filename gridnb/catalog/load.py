"""Catalogs from YAML, found by name or by path; mistakes are told with file, line and key."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gridnb.catalog.catalog import Catalog
from gridnb.catalog.problems import Path, did_you_mean, problems
from gridnb.errors import CatalogError

if TYPE_CHECKING:
    from yaml.nodes import Node

__all__ = ["here", "known", "load"]

_DEMO = FilePath(__file__).with_name("demo.yaml")


def load(source: str | os.PathLike[str] | Catalog = "demo") -> Catalog:
    """Find a catalog: ``"demo"``, ``"here"``, a name, the path of a YAML file, or itself.

    A name is looked up among the built-in catalogs, then as ``catalogs/NAME.yaml`` in the
    user's configuration directory.

    Raises
    ------
    CatalogError
        If there is none, or it has a mistake; says file, line, key, and what would be right.
    """
    if isinstance(source, Catalog):
        return source
    if source == "here":
        return here()
    if source == "demo":
        return _read(_DEMO)
    text = os.fspath(source)
    if not isinstance(source, str) or os.sep in text or text.endswith((".yaml", ".yml", ".json")):
        return _read(FilePath(text).expanduser())
    own = _user_directory() / f"{text}.yaml"
    if own.is_file():
        return _read(own)
    hint = did_you_mean(text, known())
    raise CatalogError(
        f"there is no catalog {text!r}; {hint} (or write {own}, or name a file with its .yaml)"
    )


def known() -> tuple[str, ...]:
    """Return the names that :func:`load` finds: the built-in ones first, then the user's."""
    own = sorted(path.stem for path in _user_directory().glob("*.yaml"))
    return tuple(dict.fromkeys(("demo", "here", *own)))


def here() -> Catalog:
    """Return the catalog of this machine alone: free, a worker for each core."""
    from dask.system import cpu_count

    cores = cpu_count()
    offer = {"name": "core", "cores": 1, "memory": _memory() // cores, "count": cores}
    site = {"name": "here", "provider": "local", "owner": "you", "offers": [offer]}
    return Catalog.of({"name": "here", "description": "This machine, free.", "sites": [site]})


def _memory() -> int:
    """Return the bytes of memory that this machine, or its container, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = FilePath("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, int(text)) if text.isdigit() else total


def _user_directory() -> FilePath:
    from platformdirs import user_config_dir

    return FilePath(user_config_dir("gridnb")) / "catalogs"


def _read(path: FilePath) -> Catalog:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogError(
            f"{path}: the catalog cannot be read ({error.strerror}); name a file that is there"
        ) from None
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    return _parse(text, path)


def _parse(text: str, path: FilePath) -> Catalog:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise CatalogError(f"{path}: the catalog is empty; write at least name and sites")
        _refuse_twins(root, path)
        document = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise CatalogError(_syntax(error, path)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CatalogError(f"{path}: not YAML ({' '.join(str(error).split())}); mend it") from None
    return _validated(document, root, path)


def _validated(document: Any, root: Node, path: FilePath) -> Catalog:
    if isinstance(document, dict):
        document.setdefault("name", path.stem)
    try:
        return Catalog.model_validate(document)
    except ValidationError as error:
        found = problems(error, Catalog)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        line = _line(root, found[0].path)
        raise CatalogError(f"{path} line {line}, {found[0]}{more}") from None


def _syntax(error: Any, path: FilePath) -> str:
    mark = error.problem_mark or error.context_mark
    line = f" line {mark.line + 1}" if mark else ""
    problem = " ".join(str(error.problem or error.context).split())
    return f"{path}{line}: not YAML ({problem}); check the indentation, colons and quotes there"


def _line(root: Node, path: Path) -> int:
    """Find the line of the value at a path, or of the nearest one on the way to it."""
    node = root
    line: int = root.start_mark.line
    for step in path:
        found = _child(node, step)
        if found is None:
            break
        line, node = found
    return line + 1


def _child(node: Node, step: str | int) -> tuple[int, Node] | None:
    from yaml.nodes import MappingNode, SequenceNode

    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line, item
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line, value
    return None


def _refuse_twins(root: Node, path: FilePath) -> None:
    """Refuse a key that a mapping has twice, of which YAML would silently keep the last."""
    from yaml.nodes import MappingNode, SequenceNode

    todo, seen = [root], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            todo += node.value
        elif isinstance(node, MappingNode):
            keys: dict[Hashable, int] = {}
            for key, value in node.value:
                line, name = key.start_mark.line + 1, str(key.value)
                if name in keys:
                    raise CatalogError(
                        f"{path} line {line}, {name}: is there already, on line {keys[name]}; "
                        "keep one of them"
                    )
                keys[name] = line
                todo.append(value)
