"""Catalogs from files: found by name or path, mistakes told with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gridnb import catalog
from gridnb.catalog import Catalog, known, load
from gridnb.catalog import load as load_function
from gridnb.errors import CatalogError

GOOD = """\
name: mine
sites:
  - name: alpha
    provider: simulated
    offers:
      - name: small
        cores: 1
        memory: 1 GiB
  - name: beta
    provider: simulated
    offers:
      - {name: small, cores: 2, memory: 1 GiB}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sites.yaml"
    path.write_text(text)
    return path


def test_a_file_a_catalog_and_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, GOOD)
    mine = load(path)
    assert mine.names == ("alpha", "beta")
    assert load(str(path)) == mine and load(mine) is mine
    monkeypatch.setattr("platformdirs.user_config_dir", lambda name: str(tmp_path / name))
    (tmp_path / "gridnb/catalogs").mkdir(parents=True)
    path.rename(tmp_path / "gridnb/catalogs/lab.yaml")
    assert load("lab") == mine
    assert known() == ("demo", "here", "lab")
    with pytest.raises(CatalogError, match="there is no catalog 'labb'; did you mean 'lab'"):
        load("labb")


def test_the_name_is_the_file_s_unless_given(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD.replace("name: mine\n", "", 1))).name == "sites"


def test_the_demo_is_what_the_product_promises() -> None:
    demo = load("demo")
    assert demo.simulated and demo.time_scale == 60 and demo.currencies == ("GD",)
    assert len(demo.sites) >= 6 and len({site.owner for site in demo.sites}) >= 4
    assert {"alpha", "beta"} <= set(demo.names)
    for attribute in ("speed", "start_delay"):
        values = {getattr(offer, attribute) for site in demo.sites for offer in site.offers}
        assert len(values) >= 4
    assert len({site.price(site.offers[0]) for site in demo.sites}) >= 5
    for site in demo.sites:
        assert 2 <= site.capacity <= 4 and site.term == 1800
        for offer in site.offers:
            assert 30 <= offer.start_delay <= 180 and offer.memory <= 2**30


def test_the_demo_s_prices_suit_a_small_budget() -> None:
    """Eight workers for a simulated hour cost from half a grid dollar to three."""
    demo = load("demo")
    offers = [(site, offer) for site in demo.sites for offer in site.offers if not offer.spot]
    hourly = sorted(site.price(offer) for site, offer in offers for _ in range(offer.count))
    assert sum(hourly[:8]) >= 0.5 and sum(hourly[-8:]) <= 3


def test_the_demo_can_be_copied(tmp_path: Path) -> None:
    text = Path(catalog.__file__).with_name("demo.yaml").read_text()
    assert load(write(tmp_path, text)) == load("demo")
    assert yaml.safe_load(text)["name"] == "demo"


def test_this_machine_is_free() -> None:
    (here,) = load("here").sites
    assert here.free and here.provider == "local" and not here.simulated
    assert here.offers[0].cores == 1 and here.capacity == here.offers[0].count >= 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cores: 1", "cores: none", r"line 7, sites\[0\].offers\[0\].cores: 'none' will not do; "),
        ("cores: 1", "coers: 1", "line 7, .*coers: there is no such key; did you mean 'cores'"),
        (
            "        cores: 1",
            "        cores: 1\n        coers: 1",
            "line 8, .*did you mean 'cores'",
        ),
        (
            "        cores: 1\n",
            "",
            r"line 6, sites\[0\].offers\[0\].cores: is missing; write a whole",
        ),
        ("cores: 2", "cores: 0", r"line 12, sites\[1\].offers\[0\].cores: 0 will not do"),
        ("name: beta", "name: alpha", r"line 9, sites\[1\].name: there are two sites named 'alph"),
        ("name: mine", "name: mine\nname: yours", "line 2, name: is there already, on line 1"),
        ("name: mine", "name: [mine", "line 2: not YAML"),
        ("name: mine", "name: mine\n\tx: 1", r"line 2: not YAML \(found character"),
        ("name: mine", "name: !!python/object:os.system x", "line 1: not YAML"),
        ("name: mine", "nmae: mine", "line 1, nmae: there is no such key; did you mean 'name'"),
        ("name: mine", "name: &a [*a]", "line 1, name: a list will not do"),
        ("name: mine", "? [1, 2]\n: 3", "not YAML|there is no such key"),
        ("name: mine", "3: 4", "there is no such key|keys"),
    ],
)
def test_mistakes_name_file_line_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(CatalogError, match=says) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} line ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "words\n", "--- 1\n--- 2\n", "\x00"])
def test_files_that_are_no_catalog(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CatalogError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"No such file or directory.*name a file that is there"):
        load(tmp_path / "none.yaml")
    with pytest.raises(CatalogError, match="cannot be read"):
        load(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(CatalogError, match="byte 9 is not UTF-8"):
        load(latin)


def test_anchors_and_merges_are_followed(tmp_path: Path) -> None:
    base = GOOD.replace(
        "- name: small\n        cores: 1", "- &small\n        name: small\n        cores: 1"
    )
    merged = base.replace("{name: small, cores: 2, memory: 1 GiB}", "{<<: *small, cores: 3}")
    assert load(write(tmp_path, merged)).site("beta").offers[0].cores == 3


def test_public_names() -> None:
    assert load_function is catalog.load and isinstance(load("demo"), Catalog)
