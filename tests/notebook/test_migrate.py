"""``%grid migrate``: one line that follows it, and cells and kept values that move along."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("%grid migrate alpha", "missing: target"),
        ("%grid migrate alpha alpah", "did you mean 'alpha'?"),
        ("%grid migrate alpha alpha", "name two sites"),
        ("%grid migrate beta alpha", "no worker is up at beta; sites with some: alpha"),
        ("%grid migrate alpha beta --limit soon", "'soon' is not a time"),
    ],
)
def test_bad_input_is_one_line(grid, code, text):
    reply = grid.run(code)
    assert reply.status == "error"
    assert text in reply.error
    assert "\n" not in reply.error.strip() and "$" not in reply.error


def test_help_and_tab(grid):
    assert "--force" in grid.ok("%grid migrate --help").of("display_data")
    assert "beta" in grid.complete("%grid migrate alpha ")
    assert "migrate" in grid.complete("%grid mi")


def test_cells_go_on_at_the_other_site_with_what_they_keep(grid):
    grid.ok("%%grid --keep\nkept = list(range(1000))")
    assert grid.value("kept.site") == "'alpha'"
    reply = grid.ok("%grid migrate alpha beta")
    assert "alpha → beta · moved to 1 worker" in reply.line
    shown = [kind for kind, _ in reply.outputs]
    assert shown.count("display_data") == 1 and "update_display_data" in shown
    assert grid.value("kept.site") == "'beta'"
    after = grid.ok("%%grid\nsum(kept)")
    assert after.result == "499500" and "beta" in after.line
    assert "alpha" not in grid.value(
        "{w['site'] for w in __import__('gridnb').Grid.attach().status()['workers']}"
    )
