"""Staged files at simulated sites: once a site, over the best link, the same name everywhere."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dask.config
import pytest

import gridnb
from gridnb import staged, staging
from gridnb.catalog import Catalog
from gridnb.errors import BudgetError, CatalogError, StageError
from gridnb.ledger import Ledger
from gridnb.staged import NOTEBOOK, GridPath
from gridnb.staging import Staged
from tests.grids import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MIB = 2**20


def catalog(names: str = "abc", *, egress: str = "0", home: str = "100 MB/s") -> Catalog:
    """Sites near each other; the notebook is as far away as `home` says."""
    sites = [
        {
            "name": name,
            "provider": "simulated",
            "rate_card": {"egress_gib": egress, "core_hour": "0.1"},
            "offers": [{"name": "o", "cores": 1, "memory": "1 GiB", "count": 3}],
        }
        for name in names
    ]
    links = [
        {"between": [x, y], "latency": "2ms", "bandwidth": "100 MB/s"}
        for x in names
        for y in names
        if x < y
    ]
    usual = {"latency": "2ms", "bandwidth": home}
    return Catalog.of({"name": "s", "sites": sites, "links": links, "default_link": usual})


def sent(grid: gridnb.Grid) -> dict[tuple[str, str], int]:
    """Bytes over the links, as the links have counted them."""
    return {(ln["src"], ln["dst"]): ln["bytes"] for ln in grid.status()["links"]}


def workers(grid: gridnb.Grid, site: str) -> list[str]:
    info = grid.client.scheduler_info(n_workers=-1)["workers"]
    return [address for address, w in info.items() if w["name"].startswith(f"{site}-")]


def root(grid: gridnb.Grid, site: str) -> Path:
    return staged.directory(grid.id, site)


def see(path: GridPath) -> tuple[str, str]:
    """Run at a site: where the path leads there, and the hash of what is there."""
    with open(path, "rb") as file:  # noqa: PTH123 - the built-in has to take it
        return os.fspath(path), hashlib.sha256(file.read()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "data.bin"
    made.write_bytes(os.urandom(3 * MIB + 17))
    return made


@pytest.fixture(scope="module")
def grid(_module_processes: None) -> Iterator[gridnb.Grid]:
    with gridnb.Grid(catalog("ab"), "50 GD", "stage") as made:
        made.request(workers=2, sites=["a"]).wait()
        made.request(workers=1, sites=["b"]).wait()
        yield made


def test_a_file_crosses_once_a_site_and_has_one_name(grid: gridnb.Grid, file: Path) -> None:
    before = sent(grid)
    path = grid.stage(file)
    assert isinstance(path, Staged) and path.sites == ("a", "b") and path.name == "data.bin"
    size = file.stat().st_size
    assert path.sent == 2 * size and path.saved == size  # the second worker of a
    more = sum(sent(grid).values()) - sum(before.values())
    assert 2 * size <= more < 2.02 * size
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    found = {}
    for site in "ab":
        for address in workers(grid, site):
            task = grid.client.submit(see, path, workers=address, pure=False)
            where, hashed = task.result(30)
            assert hashed == digest
            found[site] = where
            same = grid.client.submit(str, path, workers=address, pure=False)
            assert same.result(30) == path.path == str(path)
    assert len(set(found.values())) == 2
    assert all(str(root(grid, site)) in where for site, where in found.items())
    assert os.fspath(path) == str(file)
    assert sum(sent(grid).values()) - sum(before.values()) < 2.02 * size


def test_again_nothing_is_sent(grid: gridnb.Grid, file: Path) -> None:
    grid.stage(file)
    before = sent(grid)
    again = grid.stage(file)
    assert again.sent == 2 * again.size and again.saved == 3 * again.size
    assert sent(grid) == before


def test_a_directory_of_which_one_file_changes(grid: gridnb.Grid, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "empty").mkdir()
    for n in range(5):
        (data / f"part-{n}.csv").write_text("n,m\n" + f"{n},1\n" * 1000)
    (data / "deep" / "zero").touch()
    first = grid.stage(data)

    def look(path: GridPath) -> list[Any]:
        import pandas as pd

        names = sorted(p.name for p in path.iterdir())
        total = int(sum(pd.read_csv(p)["m"].sum() for p in path.glob("*.csv")))
        return [names, total, (path / "deep" / "zero").read_bytes(), path.is_dir()]

    there = grid.client.submit(look, first, workers=workers(grid, "b")).result(60)
    assert there == look(first)
    assert there[0] == ["deep", "empty", *(f"part-{n}.csv" for n in range(5))]
    (data / "part-0.csv").write_text("n,m\n0,7\n")
    second = grid.stage(data)
    assert second.path != first.path
    assert second.sent == 2 * len("n,m\n0,7\n")
    with pytest.raises(StageError, match="part-0.csv has changed since it was staged"):
        first.exists()
    (data / "more").touch()
    with pytest.raises(StageError, match="more has changed since it was staged"):
        second.exists()


def test_dask_collections_read_it_where_it_is(grid: gridnb.Grid, tmp_path: Path) -> None:
    import dask.bag as db
    import dask.dataframe as dd
    import pandas as pd

    data = tmp_path / "flights"
    data.mkdir()
    frame = pd.DataFrame({"n": range(100), "m": [1.5] * 100})
    for n in range(3):
        frame.to_csv(data / f"{n}.csv", index=False)
        frame.to_parquet(data / f"{n}.parquet")
    path = grid.stage(data)
    before = sent(grid)
    assert int(dd.read_csv(path / "*.csv")["n"].sum().compute()) == 3 * 4950
    assert int(dd.read_csv(f"{path}/*.csv")["n"].sum().compute()) == 3 * 4950
    assert float(dd.read_parquet(f"{path}/*.parquet")["m"].sum().compute()) == 450
    assert db.read_text(f"{path}/*.csv").count().compute() == 303
    assert pd.read_parquet(path / "0.parquet").equals(frame)
    assert pd.read_csv(str(path / "0.csv")).equals(frame)
    homeward = sum(n for (src, _), n in sent(grid).items() if src == NOTEBOOK)
    assert homeward == sum(n for (src, _), n in before.items() if src == NOTEBOOK)


def test_a_cell_process_reads_it(grid: gridnb.Grid, file: Path) -> None:
    path = grid.stage(file)
    job = grid.submit(see, path)
    where, digest = job.result(60)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert NOTEBOOK.replace(" ", "-") not in where and str(file) != where


def test_what_a_process_opens_that_is_not_there_is_brought(grid: gridnb.Grid, file: Path) -> None:
    path = grid.stage(file)
    digest = path.digest
    assert digest is not None
    (root(grid, "b") / "items" / f"{digest}.json").unlink()

    def in_a_child(path: GridPath) -> bytes:
        import subprocess
        import sys

        code = (
            "import os\nfrom gridnb.staged import GridPath\n"
            f"print(os.fspath(GridPath({path.path!r})))"
        )
        return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    out = grid.client.submit(in_a_child, path, workers=workers(grid, "b")).result(60)
    assert str(root(grid, "b")) in out.decode()
    assert (root(grid, "b") / "items" / f"{digest}.json").exists()


def test_what_was_never_staged_is_an_error_at_the_site(grid: gridnb.Grid) -> None:
    path = GridPath(f"grid-stage://{grid.id}/{'0' * 64}/x")
    task = grid.client.submit(os.fspath, path, workers=workers(grid, "a"), pure=False)
    with pytest.raises(StageError, match="nothing was staged as 000000000000"):
        task.result(30)


@pytest.mark.parametrize("url", ["memory://stage/in/d", "file"])
def test_a_url(grid: gridnb.Grid, tmp_path: Path, url: str) -> None:
    import fsspec

    if url == "file":
        url = f"file://{tmp_path}/d"
    for name in ("x.txt", "y.txt"):
        with fsspec.open(f"{url}/{name}", "w", auto_mkdir=True) as file:
            file.write(f"{name} from {url[:6]}")
    path = grid.stage(url)
    assert path.name == "d" and path.files == 2
    there = grid.client.submit((path / "y.txt").read_text, workers=workers(grid, "a")).result(30)
    assert there == (path / "y.txt").read_text() == f"y.txt from {url[:6]}"
    alone = grid.stage(f"{url}/x.txt")
    assert alone.read_text() == f"x.txt from {url[:6]}"


def test_bad_input_is_one_line_and_sends_nothing(grid: gridnb.Grid, tmp_path: Path) -> None:
    before = sent(grid)
    (tmp_path / "table.csv").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "back").symlink_to(tmp_path / "loop")
    cases = {
        str(tmp_path / "tabel.csv"): "did you mean 'table.csv'?",
        "nonsense://x/y": "nonsense:// cannot be read",
        "memory://nothing/here": "there is nothing at memory://",
        str(tmp_path / "pipe"): "neither a file nor a directory",
        str(tmp_path / "loop"): "leads back to",
        f"grid-stage://{grid.id}/volume/none": "no site with workers has none in the volume",
        "grid-stage://x": "is no name of a staged file",
    }
    for source, text in cases.items():
        with pytest.raises(StageError) as caught:
            grid.stage(source)
        assert text in str(caught.value) and "\n" not in str(caught.value)
    assert sent(grid) == before


class _Liar:
    """A grid whose worker says that its files are anywhere."""

    id = "liar"

    def __init__(self, *paths: str) -> None:
        self.cluster, self.paths, self.asked = self, paths, 0

    def call(self, _: str, **__: Any) -> dict[str, Any]:
        about = {"site": "a", "address": "", "size": 1, "digest": hashlib.sha256(b"x").hexdigest()}
        return {"files": [{"path": path, **about} for path in self.paths]}

    def carry(self, *_: Any) -> None:
        self.asked += 1

    def piece(self, *_: Any, **__: Any) -> bytes:
        return b"x"


@pytest.mark.parametrize("path", ["out/../../../.bashrc", "/etc/x", "elsewhere/x", "out/a/../b"])
def test_fetched_files_stay_where_they_belong(tmp_path: Path, path: str) -> None:
    grid: Any = _Liar("out/good", path)
    target = tmp_path / "x" / "y"
    with pytest.raises(StageError, match="leads out of the volume"):
        staging.fetch(grid, "out", target)
    assert grid.asked == 0 and not target.exists()
    good: Any = _Liar("out/good", "out/d/x")
    staging.fetch(good, "out", target)
    assert (target / "d" / "x").read_bytes() == b"x"


def test_files_of_an_archive_do_not_lead_out_of_it(tmp_path: Path) -> None:
    for name, fine in (("d/x", True), ("../../x", False), ("d/../../x", False)):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("f", "f")
            archive.writestr(name, "x")
        url = f"zip://::{tmp_path}/a.zip"
        if fine:
            assert set(staging._look(url).files) == {"zip/f", "zip/d/x"}
            continue
        with pytest.raises(StageError, match="zip has files that lead out of it"):
            staging._look(url)


class _There:
    """A file system as that of fsspec for HTTP: its paths are whole URLs."""

    def __init__(self, error: Exception | None = None, *found: str) -> None:
        self.error, self.found = error, found

    def info(self, _: str) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return {"type": "directory" if self.found else "file", "size": 1}

    def find(self, _: str, detail: bool) -> dict[str, Any]:
        assert detail
        return {path: {"size": 1} for path in self.found}

    def open(self, path: str, _: str) -> Any:
        raise RuntimeError(f"no answer from {path}")


def test_secrets_of_a_url_are_neither_kept_nor_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = _There()
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (there, url))
    url = "https://user:SECRET@host/d/data.csv?sig=SECRET#SECRET"
    found = staging._look(url)
    assert found.name == "data.csv" and found.files == {"data.csv": (url, 1)}
    assert staging._look("https://user:SECRET@host:8/?SECRET").name == "host"
    with pytest.raises(StageError) as caught:
        staging._copy(there, url, tmp_path / found.name)
    assert str(caught.value) == "data.csv could not be read: RuntimeError"
    below = [f"https://host/d/{name}?sig=SECRET" for name in ("", "x", "e/y")]
    there.found = tuple(below)
    assert list(staging._look("https://host/d?sig=SECRET").files) == ["d/x", "d/e/y"]
    status = type("Response", (Exception,), {"status": 403})
    for error, text in (
        (FileNotFoundError(url), "there is nothing at https://…/data.csv"),
        (status(url), "https://…/data.csv cannot be read: Response, status 403"),
        (OSError(111, url), "cannot be read: ConnectionRefusedError, connection refused"),
        (ValueError(url), "https:// cannot be read (ValueError)"),
    ):
        there.error = error
        with pytest.raises(StageError) as caught:
            staging._look(url)
        assert text in str(caught.value) and "SECRET" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_written_files_come_back_and_are_published(grid: gridnb.Grid, tmp_path: Path) -> None:
    out = grid.volume / "out"

    def write(path: GridPath, text: str) -> str:
        with open(path, "w") as file:  # noqa: PTH123 - as users write it
            file.write(text)
        return os.fspath(path)

    for site in "ab":
        task = grid.client.submit(
            write, out / f"{site}.txt", site * 10, workers=workers(grid, site)
        )
        assert str(root(grid, site)) in task.result(30)
    both = grid.fetch(out)
    assert sorted(p.name for p in both.iterdir()) == ["a.txt", "b.txt"]
    assert (out / "b.txt").read_text() == "b" * 10  # the same name, here
    assert grid.fetch("out/a.txt", tmp_path / "mine.txt").read_text() == "a" * 10
    assert grid.fetch(out / "a.txt", f"{tmp_path}/new/").name == "a.txt"
    with pytest.raises(StageError, match="no site with workers has out/c.txt"):
        grid.fetch("out/c.txt")
    path = grid.stage(out / "a.txt")
    assert path.origin == "a" and path.sites == ("a", "b")
    assert ("a", "b") in path.routes
    there = grid.client.submit(path.read_text, workers=workers(grid, "b")).result(30)
    assert there == "a" * 10
    with pytest.raises(StageError, match="is not here; `grid.fetch` brings what sites have"):
        path.read_text()
    grid.fetch(path)
    assert path.read_text() == "a" * 10
    assert grid.fetch(path, tmp_path / "copy").read_text() == "a" * 10
    for site in "ab":
        task = grid.client.submit(write, out / "same", f"by {site}", workers=workers(grid, site))
        task.result(30)
    with pytest.raises(StageError, match="out/same is not the same at a and b; say which"):
        grid.fetch("out/same")
    assert grid.fetch("out/same", site="b").read_text() == "by b"
    with pytest.raises(CatalogError):
        grid.fetch("out/same", site="q")


def test_dask_writes_into_the_volume(grid: gridnb.Grid) -> None:
    import dask.dataframe as dd
    import pandas as pd

    frame = dd.from_pandas(pd.DataFrame({"n": range(50)}), npartitions=5)
    frame.to_parquet(str(grid.volume / "table"))
    back = pd.read_parquet(grid.fetch("table"))
    assert sorted(back["n"]) == list(range(50))


def test_the_list(grid: gridnb.Grid, file: Path) -> None:
    path = grid.stage(file)
    last = grid.staged()[-1]
    assert last == path and last.sites == ("a", "b") and last.size == file.stat().st_size
    assert "2 files" not in repr(last) and "3.00 MiB" in repr(last)


# what takes a grid of its own


def test_from_site_to_site_where_that_is_quicker(file: Path) -> None:
    with gridnb.Grid(catalog("abc", home="4 MB/s"), "50 GD", "near") as grid:
        grid.request(workers=3, sites=["a", "b", "c"], optimize="time").wait()
        for site in "abc":
            if not workers(grid, site):
                grid.request(workers=1, sites=[site]).wait()
        path = grid.stage(file)
        from_here = [pair for pair in path.routes if pair[0] == NOTEBOOK]
        assert len(from_here) == 1 and len(path.routes) == 3
        assert path.sites == ("a", "b", "c")
        moved = sent(grid)
        assert sum(n for (src, _), n in moved.items() if src == NOTEBOOK) < 1.01 * path.size


def test_not_over_dear_links_and_what_it_costs_is_charged(file: Path) -> None:
    with gridnb.Grid(catalog("ab", egress="400", home="40 MB/s"), "500 GD", "dear") as grid:
        for site in "ab":
            grid.request(workers=1, sites=[site]).wait()
        path = grid.stage(file)
        assert set(path.routes) == {(NOTEBOOK, "a"), (NOTEBOOK, "b")}
        assert not path.egress

        def write(out: GridPath) -> int:
            with open(out, "wb") as made:  # noqa: PTH123 - as users write it
                return made.write(bytes(MIB))

        grid.client.submit(write, grid.volume / "zeros", workers=workers(grid, "a")).result(30)
        published = grid.stage(grid.volume / "zeros")
        price = Decimal(400) * MIB / 2**30
        assert published.egress.amount == price
        assert grid.fetch(grid.volume / "zeros").stat().st_size == MIB
        bill = grid.bill()
        paid = bill[(bill.kind == "egress") & (bill.site == "a")].amount.sum()
        assert 2 * price <= paid < 2 * price * Decimal("1.02")
    with Ledger() as ledger:
        assert ledger.audit() == []


def test_what_the_budget_does_not_pay_for_does_not_move() -> None:
    with gridnb.Grid(catalog("ab", egress="90000"), "1 GD", "poor") as grid:
        for site in "ab":
            grid.request(workers=1, sites=[site]).wait()

        def write(out: GridPath) -> int:
            with open(out, "wb") as made:  # noqa: PTH123 - as users write it
                return made.write(bytes(2 * MIB))

        grid.client.submit(write, grid.volume / "zeros", workers=workers(grid, "a")).result(30)
        with pytest.raises(StageError, match="the budget does not pay for what a and b send"):
            grid.stage(grid.volume / "zeros")
        with pytest.raises(BudgetError, match="does not pay for"):
            grid.fetch(grid.volume / "zeros")
        assert not any((root(grid, "b") / "items").iterdir())
        assert not any((root(grid, NOTEBOOK) / "volume").rglob("*zeros*"))
        budget = grid.status(bill=True)["budget"]
        assert Decimal(budget["charged"]) + Decimal(budget["held"]) <= 1


def test_a_worker_that_comes_later_has_it_before_its_first_task(file: Path) -> None:
    with gridnb.Grid(catalog("ab"), "50 GD", "later") as grid:
        early = grid.stage(file)
        assert early.sites == () and early.sent == 0
        grid.request(workers=1, sites=["a"]).wait()
        assert grid.staged()[0].sites == ("a",)
        grid.request(workers=1, sites=["b"]).wait()
        late = grid.staged()[0]
        assert late.sites == ("a", "b") and late.sent == 2 * late.size
        task = grid.client.submit(see, late, workers=workers(grid, "b"))
        assert task.result(30)[1] == hashlib.sha256(file.read_bytes()).hexdigest()
        grid.request(workers=1, sites=["b"]).wait()
        assert grid.staged()[0].sent == 2 * late.size
        home = root(grid, "a").parent
    assert not home.exists()


def test_evicted_by_size_and_brought_again_when_it_is_opened(tmp_path: Path) -> None:
    files = []
    for n in range(3):
        files.append(tmp_path / f"f{n}")
        files[-1].write_bytes(os.urandom(MIB))
    big = tmp_path / "big"
    big.write_bytes(bytes(3 * MIB))
    with (
        dask.config.set({"gridnb.stage.limit": 2 * MIB + 100}),
        gridnb.Grid(catalog("a"), "50 GD", "small") as grid,
    ):
        grid.request(workers=1, sites=["a"]).wait()
        with pytest.raises(StageError, match="big has 3.00 MiB, and a site may hold 2.00 MiB"):
            grid.stage(big)
        first, second = grid.stage(files[0]), grid.stage(files[1])
        grid.client.submit(see, first, pure=False).result(30)  # the second is older now
        third = grid.stage(files[2])
        now = {each.path: each.sites for each in grid.staged()}
        assert now == {first.path: ("a",), second.path: (), third.path: ("a",)}
        digest = grid.client.submit(see, second, pure=False).result(30)[1]
        assert digest == hashlib.sha256(files[1].read_bytes()).hexdigest()
        assert len([each for each in grid.staged() if each.sites]) == 2

        def use(path: GridPath, seconds: float) -> str:
            before = os.fspath(path)
            time.sleep(seconds)
            with open(before, "rb") as kept:  # noqa: PTH123 - by its path
                return hashlib.sha256(kept.read()).hexdigest()

        busy = [grid.client.submit(use, p, 3, pure=False) for p in (first,)]
        until(lambda: grid.client.processing() and time.sleep(0.5) is None)
        grid.stage(files[1])
        grid.stage(files[2])
        assert busy[0].result(30) == hashlib.sha256(files[0].read_bytes()).hexdigest()


def test_a_source_that_has_changed_is_told_and_nothing_wrong_is_left(file: Path) -> None:
    with gridnb.Grid(catalog("a"), "50 GD", "changed") as grid:
        path = grid.stage(file)
        info = file.stat()
        data = bytearray(file.read_bytes())
        data[2 * MIB] ^= 1
        file.write_bytes(data)
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))  # only the hash tells
        grid.request(workers=1, sites=["a"]).wait()  # it joins without it
        with pytest.raises(StageError, match="data.bin has changed since it was staged"):
            grid.client.submit(see, path).result(60)
        assert not any((root(grid, "a") / "items").iterdir())
        assert not any((root(grid, "a") / "trees").iterdir())
        assert grid.stage(file).sites == ("a",)


def test_a_damaged_copy_is_found_out_and_another_place_helps(file: Path) -> None:
    with gridnb.Grid(catalog("ab", home="2 MB/s"), "50 GD", "damaged") as grid:
        grid.request(workers=1, sites=["a"]).wait()
        path = grid.stage(file)
        blob = next((root(grid, "a") / "blobs").iterdir())
        info = blob.stat()
        blob.chmod(0o600)
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.write_bytes(data)
        os.utime(blob, ns=(info.st_atime_ns, info.st_mtime_ns))
        grid.request(workers=1, sites=["b"]).wait()
        good = hashlib.sha256(file.read_bytes()).hexdigest()
        assert grid.client.submit(see, path, workers=workers(grid, "b")).result(30)[1] == good
        assert "b" in grid.staged()[0].sites and "a" not in grid.staged()[0].sites
        assert grid.client.submit(see, path, workers=workers(grid, "a")).result(30)[1] == good


@pytest.mark.parametrize("who", ["receiver", "source"])
def test_a_worker_that_is_killed_in_the_middle(tmp_path: Path, who: str) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(12 * MIB))
    slow = catalog("ab", home="4 MB/s")
    with gridnb.Grid(slow, "50 GD", f"killed-{who}") as grid:
        grid.request(workers=1, sites=["a"]).wait()
        if who == "source":
            grid.stage(file)
        grid.request(workers=1, sites=["b"])
        victim, site = ("a", "b") if who == "source" else ("a", "a")
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(grid.stage(file)))
        if who == "receiver":
            thread.start()
        until(lambda: any((root(grid, site) / "incoming").glob("*")))
        pid = next(w["pid"] for w in grid.status()["workers"] if w["site"] == victim)
        os.kill(pid, signal.SIGKILL)
        if who == "receiver":
            thread.join(60)
        until(lambda: len(workers(grid, "a")) == 1 and len(workers(grid, "b")) == 1)
        good = hashlib.sha256(file.read_bytes()).hexdigest()
        for each in "ab":
            path = grid.staged()[0]
            task = grid.client.submit(see, path, workers=workers(grid, each), pure=False)
            assert task.result(60)[1] == good
            assert not any((root(grid, each) / "incoming").iterdir())
