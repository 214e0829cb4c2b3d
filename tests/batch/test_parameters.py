"""Parameters are read and injected as papermill does it."""

from __future__ import annotations

import nbformat
import pytest

from gridnb.batch.parameters import inject, read
from gridnb.errors import RequestError
from tests.batch.books import PARAMETERS, write


def book(tmp_path, *cells):
    from papermill.iorw import load_notebook_node

    return load_notebook_node(str(write(tmp_path / "book.ipynb", *cells)))


def test_values_are_read_as_papermill_reads_them(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text("when: 2013-01-01\nsites: [alpha, beta]\n")
    given = [("-p", "a=1"), ("-p", "b=1.5"), ("-p", "c=True"), ("-p", "d=None"), ("-p", "e=x=y")]
    given += [("-r", "f=1"), ("-y", "{g: [1, 2], h: null}"), ("-f", str(file)), ("-p", "a=2")]
    assert read(given) == {
        "a": 2,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": "x=y",
        "f": "1",
        "g": [1, 2],
        "h": None,
        "when": "2013-01-01",
        "sites": ["alpha", "beta"],
    }


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("-p", "n", "-p n: it has to be name=value, like -p n=100"),
        ("-r", "1x=2", "-r 1x=2: it has to be name=value"),
        ("-y", "[1", "-y [1: no YAML"),
        ("-y", "[1]", "-y [1]: it has to be names with values"),
        ("-f", "no-such.yaml", "-f no-such.yaml: it cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(option, text, said):
    with pytest.raises(RequestError) as caught:
        read([(option, text)])
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_cell_with_the_values_follows_the_tagged_one(tmp_path):
    made = inject(book(tmp_path, PARAMETERS, "n"), {"n": 7, "name": "it's"}, "book.ipynb")
    assert [cell.metadata["tags"] for cell in made.cells] == [
        ["parameters"],
        ["injected-parameters"],
        [],
    ]
    space: dict[str, object] = {}
    exec(made.cells[1].source, space)
    assert (space["n"], space["name"]) == (7, "it's")
    nbformat.validate(made)


def test_an_unknown_name_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(RequestError, match="has no parameter 'm'; its parameters are: n, name"):
        inject(book(tmp_path, PARAMETERS, "n"), {"m": 7}, "book.ipynb")


def test_a_notebook_without_parameters_takes_none(tmp_path):
    plain = book(tmp_path, "n = 1")
    assert inject(plain, {}, "book.ipynb") is plain
    with pytest.raises(RequestError, match="no cell tagged `parameters`"):
        inject(plain, {"n": 7}, "book.ipynb")
