"""What gridnb exports, that all of it is explained, and that none of it costs before it is used."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import gridnb

#: A change here is a change of what users may rely on: it belongs into CHANGELOG.md.
PUBLIC = ["App", "Catalog", "Grid", "GridError", "Job", "Lease", "Money", "Quote", "Request"]

HEAVY = ["dask", "distributed", "ipywidgets", "numpy", "pandas", "plotly", "pydantic", "sqlalchemy"]

MODULES = sorted(each.name for each in pkgutil.walk_packages(gridnb.__path__, "gridnb."))


def test_exported_names():
    assert sorted(gridnb.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_an_exported_name_is_there(name):
    assert getattr(gridnb, name) is not None
    assert name in dir(gridnb)


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="nonsense"):
        gridnb.nonsense  # noqa: B018 -- the access is the test


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_explained(name):
    if name.endswith("__main__"):
        pytest.skip("runs when it is imported")
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for each in getattr(module, "__all__", ()):
        value = getattr(module, each)
        ours = str(getattr(value, "__module__", "")).startswith("gridnb")
        if ours and (inspect.isclass(value) or inspect.isroutine(value)):
            assert inspect.getdoc(value), f"{name}.{each} has no docstring"


@pytest.mark.parametrize(
    "code",
    [
        "import gridnb, gridnb.errors",
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell().run_line_magic('load_ext', 'gridnb')",
    ],
    ids=["import", "load_ext"],
)
def test_loading_imports_nothing_heavy(code):
    code += f"\nimport sys; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
