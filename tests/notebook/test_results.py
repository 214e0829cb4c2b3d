"""The table of a sweep, and what stands in a line of progress."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnb.jobs.table import frame, renamed, short, some
from gridnb.notebook.progress import Pace, bar, text

NAMES = st.sampled_from(["a", "b", "result", "a_result", "1"])
KEYS = NAMES | st.integers(0, 2)
ROWS = st.lists(st.dictionaries(KEYS, st.integers(), max_size=4), min_size=1, max_size=4)


@settings(deadline=None)  # pandas is imported by the first example
@given(ROWS, st.sets(NAMES, min_size=1, max_size=3))
def test_no_column_is_lost_or_twice(values, names):
    bound = [dict.fromkeys(sorted(names), n) for n, _ in enumerate(values)]
    made = frame(values, bound)
    assert made.columns.is_unique and len(made) == len(values)
    for name in names:
        assert made[name].tolist() == list(range(len(values)))
    for key, column in renamed(values, sorted(names)).items():
        for row, value in enumerate(values):
            found = made[column][row]
            assert found == value[key] if key in value else found is None or np.isnan(found)


class Odd:
    """Refuses what a table may try with it."""

    def __iter__(self):
        raise TypeError

    def __len__(self) -> int:
        raise TypeError


def test_objects_stay_what_they_are():
    odd, array, nested = Odd(), np.arange(3), [1, [2]]
    made = frame([odd, array, nested], [{"p": odd}, {"p": None}, {"p": (1,)}])
    assert [value is each for value, each in zip(made["result"], [odd, array, nested], strict=True)]
    assert made["p"][0] is odd and made["p"][2] == (1,)
    assert made["result"].dtype == object


def test_scalars_have_their_types():
    made = frame([1.5, 2], [{"n": 1, "s": "x"}, {"n": 2, "s": "y"}])
    assert made["result"].dtype == float and made["n"].dtype == "int64"
    assert made["s"].tolist() == ["x", "y"]
    moments = [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-02")]
    assert frame(moments, [{"n": 1}, {"n": 2}])["result"].dtype.kind == "M"


def test_without_results_the_names_are_there():
    assert list(frame([], [], ["a", "b"]).columns) == ["a", "b", "result"]
    assert frame([], []).empty


def test_a_piece_is_named_on_one_line():
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert short({"a": 1, "b": "x\ny"}) == "a = 1, b = 'x\\ny'"
    assert "\n" not in short({"a": np.zeros((9, 9))}) and len(short({"a": "z" * 99})) < 70
    assert "Broken" in short({"a": Broken()})
    assert some(["x"] * 10, 2) == "x, x and 8 more"


def test_the_pace_is_that_of_the_last_results():
    pace = Pace()
    assert pace.left(0.0, 4) is None
    pace.note(0.0, 0)
    assert pace.left(1.0, 4) is None
    pace.note(2.0, 1)
    assert pace.left(2.0, 4) == 6.0
    pace.note(4.0, 4)
    assert pace.left(4.0, 4) is None
    assert pace.left(4.0, 8) == 4.0


def test_the_line_says_how_far():
    said = text(3, 1200, 61.4, 125.0, "alpha, beta", ["a = 1", "a = 2", "a = 3"])
    assert said == "3 of 1,200 · 1 min 01 s · about 2 min left · alpha, beta · now a = 1; a = 2 …"
    assert " about 1 s left" in text(1, 2, 0, 0.2, "", [])
    assert " about 2.0 h left" in text(1, 2, 0, 7200, "", [])
    assert text(0, 1, 0.2, None, "", []) == "0 of 1 · 0 s"
    assert "width:50%" in bar(1, 2, "1 of 2") and "width:100%" in bar(0, 0, "0 of 0")
