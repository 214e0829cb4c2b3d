"""Commands that need no grid: what they show, and what they say about bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest

import gridnb
from gridnb.catalog import load
from gridnb.cli import main


@pytest.fixture
def say(capsys, monkeypatch):
    """Run a command in this process; returns exit code, standard output and error."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        try:
            code = main(words)
        except SystemExit as ending:
            code = ending.code
        return (code, *capsys.readouterr())

    return run


def test_help_and_version(say):
    code, out, _ = say("--help")
    assert code == 0 and "gridnb" in out and "doctor" in out
    assert say()[:2] == (0, out)
    assert say("--version") == (0, f"gridnb {gridnb.__version__}\n", "")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from gridnb.cli import parser; parser().format_help()\n"
        "heavy = {'dask', 'distributed', 'pandas', 'pydantic', 'rich', 'sqlalchemy'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


BAD = [
    ("quoet", "did you mean quote?"),
    ("quote --coers 4", "did you mean --cores?"),
    ("quote --cores", "gridnb quote: --cores needs a value; write --cores N; see"),
    ("quote --cores four", "gridnb quote: --cores: 'four' will not do; write a whole number"),
    ("quote --spot=yes", "--spot takes no value; leave out 'yes'"),
    ("quote --cores 400", "cannot be met"),
    ("quote --sites alhpa", "gridnb quote: --sites: there is no site 'alhpa'; did you mean"),
    ("quote --memory much", "like '8 GiB'"),
    ("quote --max-cost 5", "--max-cost: '5' is not an amount of money; write a number and"),
    ("quote --optimize fastest", "'cost' or 'time'"),
    ("quote --account nobody", "no account 'nobody'"),
    ("sites a b", "'b' is one argument too many"),
    ("sites demos", "'demo'"),
    ("sites missing.yaml", "missing.yaml"),
    ("bill --by siet", "did you mean site?"),
    ("bill --account nobody", "no account 'nobody'"),
    ("bill --grid g0", "no grid 'g0'"),
    ("status nowhere", "no grid 'nowhere'"),
    ("release nowhere", "no grid or lease 'nowhere'"),
    ("catalog", "gridnb catalog: missing: COMMAND; see"),
    ("catalog valdate x.yaml", "did you mean validate?"),
]


@pytest.mark.parametrize(("words", "part"), BAD)
def test_bad_input_is_told_in_one_line(say, words, part):
    code, out, err = say(*words.split())
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1 and err.endswith("\n")
    assert part in err


def test_sites(say):
    code, out, _ = say("sites", "--links")
    assert code == 0
    for site in load("demo").sites:
        assert site.name in out
    assert max(map(len, out.splitlines())) <= 80
    assert "simulated" in out and "$" not in out


def test_sites_as_data(say):
    plain = json.loads(say("sites", "demo", "--json")[1])
    catalog = load("demo")
    assert [site["name"] for site in plain["sites"]] == list(catalog.names)
    first = plain["sites"][0]
    assert first["offers"][0]["price"] == str(catalog.sites[0].price("standard"))
    assert len(plain["links"]) == len(catalog.names) * (len(catalog.names) - 1)


def test_quote(say):
    code, out, _ = say("quote", "--cores", "4", "--regions", "eu")
    assert code == 0
    assert "4 cores" in out and "not delta" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_quote_as_data_is_the_quote(say):
    from gridnb.broker import Quote

    text = say("quote", "--cores", "4", "--deadline", "10 min", "--json")[1]
    quote = Quote.from_json(text)
    assert quote.cores >= 4 and quote.request.deadline == 600


def test_a_quote_keeps_within_an_account(say):
    from gridnb.ledger import Ledger

    with Ledger() as ledger:
        ledger.open_account("poor", "GD", Decimal("0.2"))
    quote = json.loads(say("quote", "--account", "poor", "--json")[1])
    assert Decimal(quote["cap"].split()[0]) <= Decimal("0.2")


def test_a_catalog_is_validated(say, tmp_path):
    good = tmp_path / "good.yaml"
    good.write_text(
        "sites:\n  - name: mine\n    provider: local\n"
        "    offers: [{name: core, cores: 1, memory: 1 GiB}]\n"
    )
    assert say("catalog", "validate", str(good))[0] == 0
    told = json.loads(say("catalog", "validate", str(good), "--json")[1])
    assert told == {"ok": True, "name": "good", "sites": ["mine"]}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("cores: 1", "coers: 1"), "did you mean 'cores'"),
        (("cores: 1", "cores: none"), "line 4"),
        (("provider: local", "provider: locl"), "did you mean 'local'"),
    ],
)
def test_a_bad_catalog_is_told_with_file_and_key(say, tmp_path, change, part):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "sites:\n  - name: mine\n    provider: local\n"
        "    offers: [{name: core, cores: 1, memory: 1 GiB}]\n".replace(*change)
    )
    code, _, err = say("catalog", "validate", str(path))
    assert code == 2 and err.count("\n") == 1
    assert str(path) in err and part in err


def test_nothing_runs(say):
    assert say("status")[0] == 0
    assert json.loads(say("status", "--json")[1]) == {"grids": [], "silent": [], "lost": []}
    assert json.loads(say("release", "--json")[1]) == {"released": []}


@pytest.mark.parametrize("option", ["--json", "--links"])
def test_a_reader_that_goes_away_is_no_error(option):
    command = [sys.executable, "-m", "gridnb.cli", "sites", option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
