"""A cell's names: what it reads travels, and nothing else."""

from __future__ import annotations

import pytest

from gridnb.cells.capture import capture

KNOWN = dict.fromkeys(["a", "b", "c", "In", "Out", "_", "_1", "_i3", "exit", "get_ipython"], 0)


@pytest.mark.parametrize(
    ("body", "reads"),
    [
        ("a + 1", ["a"]),
        ("a = 1\na", []),
        ("a += 1", ["a"]),
        ("x.a = b", ["b"]),
        ("b.a", ["b"]),
        ("if b:\n    a = 1\na", ["a", "b"]),
        ("if b:\n    a = 1\nelse:\n    a = 2\na", ["b"]),
        ("if b:\n    a = 1\nelse:\n    raise ValueError\na", ["b"]),
        ("for a in b:\n    pass\na", ["a", "b"]),
        ("while b:\n    a = 1\na", ["a", "b"]),
        ("with b as a:\n    c = a\nc", ["b"]),
        ("import contextlib\nwith contextlib.suppress(b):\n    c = 1\nc", ["b", "c"]),
        ("try:\n    a = 1\nexcept b:\n    pass\na", ["a", "b"]),
        ("try:\n    a = 1\nexcept b:\n    a = 2\na", ["b"]),
        ("def f(x=a):\n    return b + x\n", ["a", "b"]),
        ("def f():\n    a = 1\n    return a", []),
        ("def f():\n    global a\n    a += 1", ["a"]),
        ("[a for a in b]", ["b"]),
        ("[a for x in b if (a := x)]\na", ["a", "b"]),
        ("class K(b):\n    a = c", ["b", "c"]),
        ("@a\ndef f(): ...", ["a"]),
        ("f'{a!r:>{b}}'", ["a", "b"]),
        ("match a:\n    case {'k': b}:\n        b", ["a"]),
        ("lambda: a", ["a"]),
        ("import a\na.x", []),
        ("from m import *\na", ["a"]),
        ("In, Out, _, _1, _i3, exit, get_ipython()", []),
        ("!echo {a} $b", ["a", "b"]),
        ("%time a + unknown", ["a"]),
        ("%%time\na = b", ["a", "b"]),
        ("await a", ["a"]),
        ("globals()['a']", []),
        ("x = = 1", []),
    ],
)
def test_reads(body: str, reads: list[str]) -> None:
    assert sorted(capture(body, KNOWN).reads) == reads


def test_deleted_names_need_no_value() -> None:
    found = capture("del a\nb", KNOWN)
    assert (found.reads, found.deletes) == (["b"], ["a"])


def test_bound_elsewhere() -> None:
    assert capture("a + b", KNOWN, without=["a"]).reads == ["b"]
