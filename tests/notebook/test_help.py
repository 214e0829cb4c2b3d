"""Tab, ``?`` and ``--help`` in a real kernel."""

from __future__ import annotations

import pytest
from IPython.core.magic_arguments import MagicArgumentParser, argument

from gridnb.notebook import helptext
from gridnb.notebook.arguments import options, parse
from gridnb.notebook.lines import COMMANDS
from gridnb.notebook.magics import GridMagics
from gridnb.notebook.pieces import take_pieces
from tests.notebook.kernels import Kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CELL = GridMagics.cell.parser


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%grid sta", ["stage", "status"]),
        ("%grid re", ["release", "request"]),
        ("%grid quote --op", ["--optimize"]),
        ("%grid quote --optimize ", ["cost", "time"]),
        ("%grid quote --optimize=t", ["time"]),
        ("q = %grid quote --optimize t", ["time"]),
        ("    lease = %grid requ", ["request"]),
        ("%grid quote  --cor", ["--cores"]),
        ("%grid quote --he", ["--help"]),
        ("%grid scale al", ["alpha="]),
        ("%grid scale alpha=2 be", ["beta="]),
        ("%%grid --co", ["--cores"]),
        ("%%grid --sites al", ["alpha"]),
        ("%%grid --sites alpha,be", ["beta"]),
        ("%%grid --sites=alpha,be", ["beta"]),
        ("%%grid --regions eu-", ["eu-central", "eu-north"]),
        ("%%grid --max-cost 2 GD --spo", ["--spot"]),
        ("x = 1\n%grid mete", ["meter"]),
        ("%grid connect d", ["demo"]),
        ("%grid connect mi", ["mine"]),
        ("%grid connect ./sub", ["./subfolder/"]),
        ("%grid connect subfolder/", ["subfolder/own.yaml"]),
        (
            f"%grid connect demo --account /notebooks/{__name__}",
            [f"/notebooks/{__name__}.ipynb"],
        ),
        ("%grid release l", ["l1"]),
        ("%grid bill --by owner,si", ["site"]),
        ("%grid budget re", ["reset"]),
        ("%grid links alpha be", ["beta"]),
        ("%grid links alpha beta --re", ["--restore"]),
        ("%grid quote --cores ", ["1", "2", "4", "8"]),
        ("%%grid --retries ", ["1", "2", "3"]),
        ("%%grid --replicas ", ["2", "3"]),
        ("%%grid --memory ", []),
        ("%grid budget --", ["--help"]),
    ],
)
def test_tab_completes(place: Kernel, typed: str, offered: list[str]) -> None:
    assert place.complete(typed) == offered


@pytest.fixture(scope="module")
def place(grid: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """The kernel, in a directory with catalogs, some variables, and a catalog of the user's."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "subfolder").mkdir()
    (folder / "subfolder" / "own.yaml").write_text("")
    (folder / "subfolder" / "own.txt").write_text("")
    grid.ok(f"%cd -q {folder}")
    grid.ok("values_of_mine, others_of_mine = [1], [2]")
    grid.ok(
        "from gridnb.catalog.load import _user_directory as d\n"
        "d().mkdir(parents=True, exist_ok=True); _ = (d() / 'mine.yaml').write_text('')"
    )
    return grid


@pytest.mark.parametrize(
    "typed",
    [
        "%%grid --map x=values_of",
        "%%grid --map x = values_of",
        "%%grid --map=x=values_of",
        "%%grid --sweep a=values_of",
        "%%grid --sweep a=others_of_mine b=values_of",
        "%%grid --cores 2 --sweep a=[1, 2] b=[others_of_mine, values_of",
        "%%grid --map x=range(values_of",
        "%%grid --into values_of",
    ],
)
def test_tab_completes_variables(place: Kernel, typed: str) -> None:
    assert place.complete(typed) == ["values_of_mine"]


@pytest.mark.parametrize(
    "typed",
    ["%grid nonsense --", "%grid attach nothing", "%grid scale alpha=", "%%grid --cores 2 --co"],
)
def test_nothing_is_offered_where_nothing_fits(place: Kernel, typed: str) -> None:
    assert place.complete(typed) == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%%grid --map x=values_of_mine --int", ["--into"]),
        ("%%grid --sweep a=[1, 2] --quie", ["--quiet"]),
    ],
)
def test_tab_after_the_values(place: Kernel, typed: str, offered: list[str]) -> None:
    assert place.complete(typed) == offered


def test_tab_without_a_beginning_offers_no_python(place: Kernel) -> None:
    offered = place.complete("%%grid --sweep a=")
    assert {"values_of_mine", "others_of_mine"} <= set(offered)
    assert not {"abs", "if", "print"} & set(offered)
    assert not {"abs", "if", "None"} & set(place.complete("%grid attach "))


def test_tab_completes_jobs(place: Kernel) -> None:
    place.ok("%%grid --background --into ended\n1")
    place.ok("ended.result()")
    place.ok("%%grid --background --into going\nimport time; time.sleep(60)")
    short = {name: place.value(f"{name}.id.partition('-')[2]")[1:-1] for name in ("ended", "going")}
    assert set(short.values()) <= set(place.complete("%grid attach "))
    assert place.complete("%grid cancel ") == [short["going"]]
    place.ok(f"%grid cancel {short['going']}")


def test_a_cell_below_the_first_line_is_python(place: Kernel) -> None:
    assert "values_of_mine" in place.complete("%%grid --cores 1\nvalues_of")
    assert "--cores" not in place.complete("%%grid\n%%grid --co")


# help


def test_question_mark(grid: Kernel) -> None:
    text = grid.run("%%grid?").payload[0]["data"]["text/plain"]
    for title in ("What the cell needs", "How it runs", "What is shown", "Examples"):
        assert f"\n{title}\n" in text
    assert "More" not in text.splitlines()  # every option is in a group
    assert "::" not in text and "%%%" not in text
    assert text.index("--cores N") < text.index("--map x=xs") < text.index("%%grid --quote")
    text = grid.run("%grid?").payload[0]["data"]["text/plain"]
    assert "%grid meter" in text and "More" not in text.splitlines()


def test_every_option_and_command_is_explained() -> None:
    text = GridMagics.cell.__doc__
    assert all(f"  {option} " in text for option in options(CELL))
    assert all(f"  %grid {name} " in GridMagics.line.__doc__ for name in COMMANDS)
    assert all(len(line) <= 90 for line in f"{text}\n{GridMagics.line.__doc__}".splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(grid: Kernel, name: str) -> None:
    said = grid.ok(f"%grid {name} --help").of("display_data")
    assert said.startswith(f"%grid {name}")
    assert all(option in said for option in options(COMMANDS[name].parser))


def test_help_of_a_cell(grid: Kernel) -> None:
    assert "What the cell needs" in grid.ok("%%grid --help\n1 / 0").of("display_data")


def test_a_new_option_needs_no_change_here() -> None:
    made = MagicArgumentParser("grid")
    argument("--brand-new", metavar="N", help="100%% new").add_to_parser(made, None)
    text = helptext.cell(made, "About.")
    assert "More\n  --brand-new N  100% new" in text


@pytest.mark.parametrize("line", helptext.CELL_EXAMPLES)
def test_examples_of_a_cell_are_right(line: str) -> None:
    rest, _ = take_pieces(line.removeprefix("%%grid"))
    parse(CELL, rest, "%%grid")


@pytest.mark.parametrize("line", [each for some in helptext.EXAMPLES.values() for each in some])
def test_examples_of_lines_are_right(line: str) -> None:
    name, _, rest = line.partition("%grid ")[2].partition(" ")
    parse(COMMANDS[name].parser, rest, "%grid")
