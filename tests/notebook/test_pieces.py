"""What stands right of ``--map`` and ``--sweep``: any Python, with options and quotes in it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from gridnb.errors import RequestError
from gridnb.notebook.arguments import whole
from gridnb.notebook.pieces import MOST, take_pieces

TEXT = st.text(alphabet="ab ='\"\\-[]{}(),x\n", max_size=8)
ATOMS = st.integers(-9, 99) | st.booleans() | TEXT
VALUES = st.lists(
    st.recursive(
        ATOMS,
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.tuples(inner)
            | st.dictionaries(TEXT, inner, max_size=2)
        ),
        max_leaves=4,
    ),
    max_size=3,
)
OPTIONS = st.sampled_from(["", "--quiet", "--into out", "--cores 2 --sites alpha"])


@given(st.lists(VALUES, min_size=1, max_size=3), OPTIONS, OPTIONS, st.booleans())
def test_expressions_come_out_as_they_went_in(values, before, after, repeated):
    named = [f"p{n}={value!r}" for n, value in enumerate(values)]
    swept = " --sweep ".join(named) if repeated else " ".join(named)
    rest, pieces = take_pieces(f"{before} --sweep {swept} {after}")
    assert rest.split() == f"{before} {after}".split()
    assert pieces is not None and pieces.names == tuple(f"p{n}" for n in range(len(values)))
    assert [tuple(piece.values()) for piece in pieces.evaluate({})] == list(product(*values))


@pytest.mark.parametrize(
    ("line", "rest", "values"),
    [
        ("--map x=xs", "", (("x", "xs"),)),
        ("--map=x=xs --quiet", "--quiet", (("x", "xs"),)),
        ("--quiet --map x = [1, 2] --into y", "--quiet  --into y", (("x", "[1, 2]"),)),
        ("--map x=[a for a in b if a] ", "", (("x", "[a for a in b if a]"),)),
        ("--map x=b if c == d else e", "", (("x", "b if c == d else e"),)),
        ("--map x=f(' --quiet', b='c=d')", "", (("x", "f(' --quiet', b='c=d')"),)),
        ("--map x='''a' b'''.split()", "", (("x", "'''a' b'''.split()"),)),
        ("--sweep a=[1, 2] b = range(3)", "", (("a", "[1, 2]"), ("b", "range(3)"))),
        ("--sweep a=xs --cores 2 --sweep b=ys", "--cores 2", (("a", "xs"), ("b", "ys"))),
        ("--sweep 'a=[1, 2]' \"b=['c']\"", "", (("a", "[1, 2]"), ("b", "['c']"))),
        ("--into '--map x=xs'", "--into '--map x=xs'", None),
        ("--mapping x", "--mapping x", None),
    ],
)
def test_a_line_is_taken_apart(line, rest, values):
    left, pieces = take_pieces(line)
    assert left == rest
    assert (pieces and pieces.values) == values


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--map", "--map: write a name and its values, like --map year=years"),
        ("--map x", "--map: 'x' is not a name and its values"),
        ("--map x= --quiet", "'x=' is not a name"),
        ("--map 1x=xs", "'1x=xs' is not a name"),
        ("--map for=xs", "'for=xs' is not a name"),
        ("--map x=xs y=ys", "--map: takes one name, not x and y; --sweep"),
        ("--map x=xs --sweep y=ys", "--map and --sweep do not go together"),
        ("--sweep", "like --sweep rate=[0.1, 0.2] depth=range(3)"),
        ("--sweep a=xs a=ys", "--sweep: a is there twice"),
        ("--sweep a=[1, 2", "']' is missing in 'a=[1, 2'; close the bracket"),
        ("--sweep a=1)", "')' closes nothing in 'a=1)'"),
        ("--sweep a='x", 'no closing quotation in "\'x"'),
    ],
)
def test_a_wrong_line_is_one_line(line, text):
    with pytest.raises(UsageError) as raised:
        take_pieces(line)
    assert text in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--map x=5", "--map: '5' gives no values (TypeError: 'int' object is not iterable)"),
        ("--sweep x=[1] y=nothing", "--sweep: 'nothing' gives no values (NameError"),
        ("--map x=1 2", "'1 2' gives no values (SyntaxError"),
        ("--map x=__import__('itertools').count()", "too many"),
        ("--sweep x=range(2000) y=range(2000)", f"4,000,000 runs of a cell are too many; "
         f"write at most {MOST:,}"),
    ],
)  # fmt: skip
def test_what_gives_no_values_is_one_line(line, text):
    pieces = take_pieces(line)[1]
    assert pieces is not None
    with pytest.raises(RequestError) as raised:
        pieces.evaluate({})
    assert text in str(raised.value) and "\n" not in str(raised.value)


def test_combinations_run_the_last_name_first_and_see_the_users_names():
    pieces = take_pieces("--sweep a=xs b=(n for n in xs)")[1]
    assert pieces is not None
    assert pieces.evaluate({"xs": [1, 2]}) == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 2},
        {"a": 2, "b": 1},
        {"a": 2, "b": 2},
    ]


def test_numbers_of_options_are_checked():
    assert whole(None, "--retries", 0, 7) == 7
    assert whole("3", "--retries", 0, 0) == 3
    for text in ("-1", "x", "1.5", "²", ""):
        with pytest.raises(UsageError, match="--replicas: .* whole number of at least 2"):
            whole(text, "--replicas", 2, 1)
