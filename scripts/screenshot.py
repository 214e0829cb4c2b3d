"""Make the pictures of the README: the first notebook, run in JupyterLab in a real browser.

Run it with ``python scripts/screenshot.py [DIRECTORY]`` (default: ``docs``). It needs Chromium, and
has a home of its own: no budget of yours is touched.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests import home  # noqa: E402 - found through the line above

NOTEBOOK = "01_first_cell.ipynb"
#: From this heading on the picture shows the notebook.
HEADING = "The first cell"
WIDTH, HEIGHT = 1180, 1110


def main(directory: Path) -> int:
    """Run the notebook and save its picture."""
    place = home.move_in()
    try:
        path = _take(place, directory)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 0


def _take(place: Path, directory: Path) -> Path:
    from tests.backends import backend
    from tests.browser.chromium import chromium, open_notebook
    from tests.browser.lab import jupyterlab

    notebooks = place / "notebooks"
    notebooks.mkdir()
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, notebooks)
    path = directory / "first-notebook.png"
    directory.mkdir(exist_ok=True)
    with (
        chromium(backend("chromium")) as browser,
        jupyterlab(notebooks, place / "lab") as lab,
        open_notebook(browser, lab, NOTEBOOK, width=WIDTH, height=HEIGHT) as notebook,
    ):
        notebook.command("application:toggle-left-area")
        notebook.run_all(timeout=180)
        notebook.page.get_by_role("heading", name=HEADING).first.evaluate(
            "heading => heading.scrollIntoView({block: 'start'})"
        )
        notebook.page.wait_for_timeout(1000)
        notebook.page.screenshot(path=path)
    return path


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"))
