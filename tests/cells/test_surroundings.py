"""What a cell finds around it, what of that comes back, and what other notebooks find there."""

from __future__ import annotations

import decimal
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridnb.cells import ambient, environment
from gridnb.cells.settings import Seen
from tests.cells.notes import Notebook
from tests.cells.site import Site, cell_process


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with cell_process(tmp_path_factory.mktemp("around")) as site:
        yield site


@pytest.fixture
def notebook(site: Site) -> Iterator[Notebook]:
    """A notebook whose settings are put back, since they are those of the tests."""
    before = {k: v for k, v in ambient.here().items() if k not in ("random", "numpy", "cwd")}
    connection = site.connect()
    yield Notebook(connection)
    connection.close()
    assert ambient.restore(before) == []


SET = {
    "pandas": ("pd.set_option('display.max_rows', 7)", "pd.get_option('display.max_rows')"),
    "numpy print": ("np.set_printoptions(precision=3)", "np.get_printoptions()['precision']"),
    "numpy errors": ("np.seterr(over='raise')", "np.geterr()['over']"),
    "decimal": ("decimal.getcontext().prec = 5", "decimal.getcontext().prec"),
    "matplotlib": ("mpl.rcParams['lines.linewidth'] = 4.5", "mpl.rcParams['lines.linewidth']"),
    "interpreter": ("sys.setrecursionlimit(2222)", "sys.getrecursionlimit()"),
    "warnings": (
        "warnings.simplefilter('once', ImportWarning)",
        "warnings.filters[0][0], warnings.filters[0][2].__name__",
    ),
    "logging": ("logging.getLogger('a.b').setLevel(7)", "logging.getLogger('a.b').level"),
    "locale": ("locale.setlocale(locale.LC_ALL, 'C')", "locale.setlocale(locale.LC_ALL)"),
    "plotly template": ("pio.templates.default = 'ggplot2'", "pio.templates.default"),
}
IMPORTS = (
    "import decimal, locale, logging, sys, warnings\nimport matplotlib as mpl\n"
    "import numpy as np\nimport pandas as pd\nimport plotly.io as pio\npio.templates.default\n"
)


@pytest.mark.parametrize("name", SET)
def test_setting_travels_comes_back_and_is_nobody_elses(
    notebook: Notebook, site: Site, name: str
) -> None:
    put, get = SET[name]
    notebook.plain(IMPORTS)
    usual = eval(get, notebook.names)
    own = notebook.grid(IMPORTS + get).value
    assert own == usual
    before = ambient.here()
    notebook.plain(put)
    wanted = eval(get, notebook.names)
    assert wanted != usual or name == "locale"
    assert notebook.grid(get).value == wanted
    # Put back in the notebook it is put back at the site, too.
    assert ambient.restore({name: before[name]}) == []
    assert notebook.grid(get).value == usual
    # Set by a cell at a site it holds in the notebook.
    outcome = notebook.grid(put)
    assert outcome.error is None, outcome.rendered
    assert name in outcome.ambient or name == "locale"
    assert eval(get, notebook.names) == wanted


def test_settings_of_a_notebook_do_not_stay_at_the_site(notebook: Notebook, site: Site) -> None:
    import pandas as pd

    notebook.plain("import pandas as pd\npd.set_option('display.max_rows', 9)")
    assert notebook.grid("pd.get_option('display.max_rows')").value == 9
    pd.reset_option("display.max_rows")
    notebook.connection.close()
    other = Notebook(site.connect())
    assert other.grid("import pandas\npandas.get_option('display.max_rows')").value == 60
    other.connection.close()


def test_setting_of_a_library_that_the_cell_imported_does_not_stay(tmp_path: Path) -> None:
    with cell_process(tmp_path) as fresh:
        first = Notebook(fresh.connect())
        outcome = first.grid("import pandas as pd\npd.set_option('display.max_rows', 5)")
        assert "pandas" in outcome.ambient
        first.connection.close()
        ambient.restore({"pandas": Seen.pack({})})
        second = Notebook(fresh.connect())
        assert second.grid("import pandas\npandas.get_option('display.max_rows')").value == 60


def test_a_look_that_finds_nothing_new_writes_nothing() -> None:
    first, second = ambient.here(), ambient.here()
    assert all(first[name] is second[name] for name in ("pandas", "warnings", "logging"))


def test_library_with_its_defaults_is_not_imported_at_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dask.dataframe sets some where it is imported.
    monkeypatch.setattr(ambient.PARTS["pandas"], "here", lambda: Seen.pack({}))
    with cell_process(tmp_path) as fresh:
        found = Notebook(fresh.connect()).grid("import sys\n'pandas' in sys.modules")
        assert found.value is False


def test_option_with_a_function(notebook: Notebook) -> None:
    pd.set_option("display.float_format", lambda x: f"<{x:.1f}>")
    try:
        outcome = notebook.grid("import pandas as pd\npd.Series([1.23])")
        assert "<1.2>" in outcome.data["text/plain"]
    finally:
        pd.reset_option("display.float_format")


def test_record_that_does_not_reach_its_handler_is_told(notebook: Notebook, tmp_path: Path) -> None:
    log = logging.getLogger("told")
    handler = logging.FileHandler(tmp_path / "run.log")
    log.addHandler(handler)
    notebook.names["log"] = log
    try:
        assert notebook.grid("1").told == []
        outcome = notebook.grid("log.warning('lost')")
        assert len(outcome.told) == 1
        assert "FileHandler (run.log)" in outcome.told[0]
        assert log.handlers == [handler]
    finally:
        log.removeHandler(handler)
        handler.close()


def test_handler_to_the_screen_is_made_once(notebook: Notebook) -> None:
    notebook.plain("import logging")
    body = "logging.basicConfig(level=logging.INFO, format='%(message)s', force=True)"
    notebook.grid(body + "\nlogging.info('one')")
    assert notebook.sink.err == "one\n"
    (handler,) = logging.root.handlers
    for _ in range(2):
        notebook.grid("logging.info('again')")
        assert notebook.sink.err == "again\n"
        assert logging.root.handlers == [handler]


def test_environment_of_a_cell_holds_for_the_cell(notebook: Notebook) -> None:
    outcome = notebook.grid("import os\nos.environ['OWN'] = '1'\nos.environ.pop('HOME', None)")
    assert len(outcome.told) == 1
    assert outcome.told[0].endswith("for this cell only: HOME, OWN")
    assert notebook.grid("os.environ.get('OWN'), 'HOME' in os.environ").value == (None, True)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As when gridnb was just loaded."""
    monkeypatch.setattr(environment._Known, "base", dict(os.environ))
    monkeypatch.setattr(environment._Known, "told", set())
    return monkeypatch


def told(notebook: Notebook, body: str) -> str:
    return " ".join(notebook.grid(body).told)


def test_variable_of_the_notebook_is_told_once_and_where_it_may_be_read(
    notebook: Notebook, variables: pytest.MonkeyPatch
) -> None:
    told(notebook, "1")  # pytest sets one for each test
    assert told(notebook, "1") == ""
    variables.setenv("MY_KEY", "hunter2")
    variables.setenv("MY_PATH", "/data")
    assert "MY_KEY, MY_PATH" in told(notebook, "1")
    assert told(notebook, "2") == ""
    for body in ("import os\nos.getenv('X')", "!true", "%env HOME"):
        assert "MY_KEY, MY_PATH" in told(notebook, body)
    assert "MY_PATH" in (text := told(notebook, "'MY_PATH'")) and "MY_KEY" not in text
    notebook.plain("import os\ndef f():\n    return os.environ.get('X')")
    assert "MY_KEY" in told(notebook, "f()")
    assert "hunter2" not in told(notebook, "f()")


def test_asyncio_task_that_waits_is_told_once(notebook: Notebook) -> None:
    body = "import asyncio\nasync def work():\n    await asyncio.sleep(0.1)\n    print('done')\n"
    assert "work" in told(notebook, body + "t = asyncio.create_task(work())")
    assert told(notebook, "1") == ""
    assert told(notebook, "import asyncio\nawait asyncio.sleep(0.3)") == ""
    assert notebook.sink.out == "done\n"


def test_widget_follows_as_text_and_comes_back_as_a_widget(notebook: Notebook) -> None:
    widgets = pytest.importorskip("ipywidgets")
    notebook.plain("import ipywidgets as w\nslider = w.IntSlider(3)\nother = slider")
    outcome = notebook.grid(
        "from IPython.display import display\nbar = w.IntProgress(description='b')\n"
        "display(bar)\nfor i in range(4):\n    bar.value += 1\nslider.value *= 2\nslider.value"
    )
    assert outcome.error is None, outcome.rendered
    first, *_, last = notebook.sink.shown
    assert list(first[0]) == ["text/plain"]
    assert first[2]["display_id"] == last[2]["display_id"]
    assert "value=4" in last[0]["text/plain"] and last[3]
    assert any("widgets show as text" in text for text in outcome.told)
    slider: Any = notebook.names["slider"]
    assert slider is notebook.names["other"] and slider.value == 6
    assert type(notebook.names["bar"]) is widgets.IntProgress
    assert (notebook.names["bar"].value, notebook.names["bar"].description) == (4, "b")
    assert outcome.rebound == []


def test_warning_filters_of_imports_stay_below(notebook: Notebook) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notebook.grid("import warnings\nwarnings.warn('unseen')")
        assert notebook.sink.err == ""
    assert notebook.grid("warnings.filters[0][0]").value == warnings.filters[0][0]


def test_values_of_the_tests_are_as_they_were() -> None:
    assert np.get_printoptions()["precision"] == 8
    assert decimal.getcontext().prec == 28
    assert sys.getrecursionlimit() >= 1000
