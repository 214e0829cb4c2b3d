"""`gridnb app`: a server for one notebook, for who has its address, that ends with the command."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest

from gridnb.hub.find import hubs
from tests import home

COMMAND = [sys.executable, "-m", "gridnb.cli", "app"]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture
def book(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("for readers", metadata={"tags": ["remove-cell"]}),
        nbformat.v4.new_markdown_cell("for users"),
        nbformat.v4.new_code_cell("print(6 * 7)\nimport os\nos.environ['GRIDNB_NOTEBOOK']"),
    ]
    path = tmp_path / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


@pytest.mark.slow
def test_it_serves_the_notebook_to_who_has_the_address(book, tmp_path):
    server = subprocess.Popen(
        [*COMMAND, str(book), "--no-browser", "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            text += server.stdout.readline()
        address = json.loads(text)["address"]
        page = _get(address)
        assert "for users" in page and "42" in page and str(book) in page
        assert "for readers" not in page and "6 * 7" not in page
        # Without the token there is a question for it, and no page.
        assert "for users" not in _get(address.partition("?")[0])
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.communicate()
    assert hubs() == []


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=90) as answer:
        return str(answer.read().decode())


def test_bad_input_is_told_in_a_line(book, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, said in (
            (["no.ipynb"], "there is no notebook no.ipynb"),
            ([__file__], "its name does not end in .ipynb"),
            ([str(book), "--port", "many"], "--port: 'many' is no port"),
            ([str(book), "--port", port], f"--port {port}: something listens there already"),
        ):
            done = subprocess.run(
                [*COMMAND, *words], capture_output=True, text=True, cwd=home.ROOT, check=False
            )
            assert done.returncode == 2 and done.stderr.count("\n") == 1
            assert said in done.stderr


def test_the_example_is_kept_without_outputs():
    path = Path(home.ROOT / "notebooks" / "app_flights.ipynb")
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    assert all(not cell.get("outputs") for cell in book.cells)
