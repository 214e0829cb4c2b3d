"""The wheel is whole: it installs into an empty environment and works there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks
from tests.home import OUTER, ROOT
from tests.test_public import HEAVY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path, outer: bool = False) -> str:
    """Run a command and return what it prints; `outer` gives it the user's package settings."""
    env = dict(OUTER if outer else os.environ)
    env[leaks.TAG] = os.environ[leaks.TAG]
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        env.pop(name, None)
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, ROOT]
    run(*command, cwd=place, outer=True)
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `bin` of an environment that has the wheel and what it asks for, and nothing else."""
    place = tmp_path_factory.mktemp("environment")
    python = place / "bin" / "python"
    if uv := shutil.which("uv", path=OUTER.get("PATH")):
        run(uv, "venv", "--clear", "--python", sys.executable, place, cwd=place, outer=True)
        run(uv, "pip", "install", "--python", python, wheel, cwd=place, outer=True)
    else:
        run(sys.executable, "-m", "venv", place, cwd=place, outer=True)
        run(python, "-m", "pip", "install", "--no-compile", wheel, cwd=place, outer=True)
    yield place / "bin"
    shutil.rmtree(place)


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    about = wheel.name.split("-py3")[0] + ".dist-info"
    assert {each.split("/")[0] for each in names} == {"gridnb", about}
    assert any(each.endswith("licenses/LICENSE") for each in names)
    packaged = {each for each in names if each.startswith("gridnb/")}
    there = {
        str(each.relative_to(ROOT))
        for each in (ROOT / "gridnb").rglob("*")
        if each.is_file() and "__pycache__" not in each.parts
    }
    assert packaged == there


def test_the_command_explains_itself(environment, tmp_path):
    assert "usage: gridnb" in run(environment / "gridnb", "--help", cwd=tmp_path)


def test_every_module_can_be_imported_but_those_that_are_widgets(environment, tmp_path):
    code = (
        "import gridnb, importlib, pkgutil\n"
        "print(gridnb.__file__)\n"
        "for each in pkgutil.walk_packages(gridnb.__path__, 'gridnb.'):\n"
        "    try:\n"
        "        each.name.endswith('__main__') or importlib.import_module(each.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(each.name, error.name)\n"
    )
    place, *missed = run(environment / "python", "-c", code, cwd=tmp_path).splitlines()
    assert str(environment.parent) in place
    for module, missing in map(str.split, missed):
        assert module.startswith("gridnb.widgets."), (module, missing)
        assert missing in ("ipywidgets", "anywidget"), (module, missing)


def test_load_ext_imports_nothing_heavy(environment, tmp_path):
    code = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell().run_line_magic('load_ext', 'gridnb')\n"
        f"print('heavy:', *sorted(set({HEAVY}) & set(sys.modules)))"
    )
    assert run(environment / "python", "-c", code, cwd=tmp_path) == "heavy:\n"
