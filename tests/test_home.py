"""The tests live in a home of their own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import dask
import platformdirs

from tests.home import OUTER


def test_no_path_leads_to_the_users_files():
    paths = [
        platformdirs.user_cache_dir("gridnb"),
        platformdirs.user_config_dir("gridnb"),
        platformdirs.user_data_dir("gridnb"),
        platformdirs.user_runtime_dir("gridnb"),
        platformdirs.user_state_dir("gridnb"),
        str(Path.home()),
        dask.config.PATH,
    ]
    home = os.environ["HOME"]
    assert home != OUTER.get("HOME")
    assert [each for each in paths if not each.startswith(home)] == []


def test_runtime_directory_is_private_and_short():
    path = Path(os.environ["XDG_RUNTIME_DIR"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert len(str(path)) < 60


def test_settings_of_the_users_environment_are_gone():
    ours = {"GRIDNB_REQUIRE_BACKENDS", "GRIDNB_TEST"}
    assert {each for each in os.environ if each.startswith("GRIDNB_")} <= ours
