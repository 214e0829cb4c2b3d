"""The message that carries a run to a cell process."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from typing import Any

from gridnb.cells.frames import Buffer
from gridnb.cells.pack import Packed
from gridnb.cells.pickles import BLOB, dump
from gridnb.cells.run import Run

__all__ = ["bindings", "blobs", "code_name", "message"]


def message(
    run: Run, packed: Packed, name: str, drops: Sequence[str] = ()
) -> tuple[dict[str, Any], list[Buffer]]:
    """Return the header and the parts that go with it; large parts are sent when asked for.

    `name` is the file name of the body's code, `drops` are keys of remote values that nobody
    holds any more.
    """
    apart = len(packed.stream) >= BLOB
    inline: list[Buffer] = [] if apart else [packed.stream]
    if run.bindings:
        inline.append(bindings(run.bindings, run.namespace))
    header = {
        "op": "run",
        "run": run.id,
        "body": run.body,
        "name": name,
        "labels_count": run.count,
        "first": run.first,
        "flags": _future_flags(run.shell),
        "returns": run.returns,
        "fetch_limit": run.fetch_limit,
        "compare_limit": run.compare_limit,
        "keep": run.keep,
        "watch": list(run.watch),
        "deletes": packed.deletes,
        "imports": packed.imports,
        "sources": {name: source.to_json() for name, source in packed.sources.items()},
        "marks": packed.marks,
        "ambient": packed.ambient,
        "lines": packed.lines,
        "labels": _labels(run.shell, packed.lines),
        "drops": list(drops),
        "digests": packed.digests,
        "readonly": packed.readonly,
        "count": packed.count,
        "inline": len(inline),
        "stream_apart": apart,
    }
    return header, inline


def code_name(run: Run) -> str:
    """Return a file name for the body's code, known here too, for later tracebacks."""
    lines = [run.first, *run.body.splitlines()]
    text = "\n".join(lines) + "\n"
    compiler = getattr(run.shell, "compile", None)
    if compiler is not None:
        return str(compiler.cache(text, run.count, raw_code=text))
    name = f"<cell {run.count} of run {run.id}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return name


def bindings(values: dict[str, Any], namespace: dict[str, Any]) -> bytes:
    """Pickle what is bound at the site beside the captured names."""
    return dump([values], owns=lambda space: space is namespace, large=False)[0]


def blobs(packed: Packed) -> dict[str, Buffer]:
    """Return the parts that are sent when they are asked for, by digest."""
    parts: list[Buffer] = [*packed.buffers, packed.stream]
    return dict(zip(packed.digests, parts, strict=False))


def _future_flags(shell: Any) -> int:
    import __future__

    flags = int(getattr(getattr(shell, "compile", None), "flags", 0))
    known = (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
    return flags & int(sum({flag for flag in known if flag > 0xFFFF}))


def _labels(shell: Any, lines: dict[str, list[str]]) -> dict[str, int]:
    known = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return {name: known[name] for name in lines if name in known}
