"""The files of binder/: pinned versions that gridnb allows, and nothing that names a place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version


def pinned(root: Path) -> dict[str, Version]:
    found = {}
    for line in (root / "binder" / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==(\S+)", line).groups()
            found[normal(name)] = Version(version)
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(root: Path) -> list[Requirement]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["demo"], *extras["notebook"], *extras["app"]]
    return [Requirement(line) for line in lines if not line.startswith("gridnb")]


def test_what_gridnb_needs_is_pinned_within_its_bounds(root):
    versions = pinned(root)
    for need in wanted(root):
        assert normal(need.name) in versions, need.name
        assert versions[normal(need.name)] in need.specifier, need


def test_nothing_is_there_that_names_an_index_or_a_machine(root):
    for path in (root / "binder").iterdir():
        assert not re.search(r"https?://|index-url|/root/|/home/", path.read_text()), path
    assert (root / "binder" / "postBuild").stat().st_mode & 0o111
