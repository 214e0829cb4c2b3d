"""VS Code and Colab: lines and tables need no widgets, and are right without updates."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import Reply, kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FRONTS = {
    "vscode": "__vsc_ipynb_file__ = '/notebooks/of vscode.ipynb'",
    "colab": "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')",
}


def shown_without_updates(reply: Reply) -> list[dict[str, str]]:
    """What stands there if the front end replaces nothing."""
    kinds = ("display_data", "execute_result")
    return [m["content"]["data"] for m in reply.messages if m["msg_type"] in kinds]


@pytest.mark.parametrize("front", FRONTS)
def test_all_is_there_as_text(front: str) -> None:
    with kernel(GRIDNB_NOTEBOOK=f"/notebooks/{front}.ipynb") as book:
        book.ok(FRONTS[front])
        book.ok("%load_ext gridnb")
        replies = [book.ok('%grid connect demo --budget "5 GD"')]
        replies += [
            book.ok(code)
            for code in (
                "%%grid --cores 1 --sites alpha\n1 + 1",
                "%grid status",
                "%grid meter",
                "%grid bill",
                "%grid quote --cores 2",
                "grid",
                "%grid release",
            )
        ]
        for reply in replies:
            assert not [m for m in reply.messages if m["msg_type"].startswith("comm_")]
            parts = shown_without_updates(reply)
            assert parts and all(part.get("text/plain", "").strip() for part in parts)
        footer = shown_without_updates(replies[1])[-1]["text/plain"]
        assert "alpha" in footer and "GD" in footer
        if front == "vscode":
            assert book.value("grid.account") == "'/notebooks/of vscode.ipynb'"
