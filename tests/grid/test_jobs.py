"""Jobs from Python: as futures, when something is lost, and what is kept of them."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import os
import signal
import stat
import time
from decimal import Decimal

import dask
import pytest

import gridnb
from gridnb.errors import CellLost, HubError
from gridnb.hub.runs import Log, RunRecord, prune, records
from tests import grids
from tests.grids import until


def work(seconds: float, value: int) -> int:
    print("begun", flush=True)
    time.sleep(seconds)
    return value


@pytest.fixture(scope="module")
def grid():
    with gridnb.Grid(grids.catalog(count=3), "5 GD", "jobs") as grid:
        grid.request(workers=2).wait()
        yield grid


def test_jobs_are_futures(grid):
    jobs = [grid.submit(work, 0.1, n) for n in range(4)]
    assert sorted(job.result() for job in cf.as_completed(jobs, timeout=60)) == [0, 1, 2, 3]
    called = []
    later = grid.submit(work, 0, 7)
    later.add_done_callback(called.append)
    assert not cf.wait([later], timeout=60).not_done
    until(lambda: called == [later])
    assert later.done() and not later.running() and not later.cancelled()
    assert later.exception(0) is None
    with pytest.raises(TimeoutError):
        grid.submit(work, 5, 0).result(0.2)


def test_jobs_can_be_awaited(grid):
    async def main() -> list[int]:
        one = grid.submit(work, 0.2, 1)
        two = asyncio.wrap_future(grid.submit(work, 0, 2))
        return [await one, await two, *await asyncio.gather(grid.submit(work, 0, 3), one)]

    assert asyncio.run(main()) == [1, 2, 3, 1]


def test_an_error_comes_from_result_and_exception(grid):
    job = grid.submit(lambda: {}["missing"])
    assert isinstance(job.exception(60), KeyError)
    with pytest.raises(KeyError, match="missing"):
        job.result()
    assert job.status == "failed" and "KeyError" in job.reason


def test_a_job_whose_process_is_lost_fails_and_says_so(grid):
    with pytest.raises(gridnb.GridError, match="ended before it did"):
        grid.submit(lambda: os.kill(os.getpid(), signal.SIGKILL)).result(60)
    assert grid.submit(work, 0, 1).result(60) == 1


def test_a_result_is_had_again_from_another_object(grid):
    run = grid.submit(work, 0, 11).id
    until(lambda: RunRecord.of(run).about()["state"] == "done")
    with gridnb.Grid.attach(grid.id) as other:
        other.close = other.disconnect  # only this connection
        assert other.job(run).result(60) == 11
        assert other.job(run).output == "begun\n"
        assert run in [job.id for job in other.jobs()]


def test_what_is_kept_is_for_its_owner_alone(grid):
    job = grid.submit(work, 0, 1)
    job.result(60)
    directory = job.record.directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = list(directory.iterdir())
    assert {each.name for each in files} >= {"run.json", "sent", "outcome-0", "log"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_what_ended_long_ago_is_forgotten(grid):
    job = grid.submit(work, 0, 1)
    job.result(60)
    until(lambda: job.record.about()["state"] == "done")
    assert prune(3600) == 0
    time.sleep(0.2)
    assert prune(0.1) >= 1
    assert job.id not in [record.run for record in records()]
    with pytest.raises(HubError, match="nothing is kept"):
        RunRecord.of(job.id)


def test_a_job_of_a_lost_hub_is_lost_and_says_so():
    grid = gridnb.Grid(grids.catalog(), "5 GD", "jobs-lost")
    grid.request(workers=1).wait()
    job = grid.submit(work, 120, 1)
    until(lambda: job.status == "running")
    os.kill(grids.hub_of("jobs-lost").pid, signal.SIGKILL)
    with pytest.raises(CellLost, match="hub"):
        job.result(60)
    assert job.status == "lost"
    grid.disconnect()
    with gridnb.Grid(grids.catalog(), "5 GD", "jobs-lost") as later:
        assert [each.status for each in later.jobs()] == ["lost"]


def test_nobody_waits_for_ever_when_the_grid_was_left():
    grid = gridnb.Grid(grids.catalog(), "5 GD", "jobs-left")
    grid.request(workers=1).wait()
    job = grid.submit(work, 3, 5)
    grid.disconnect()
    with pytest.raises(HubError, match="has left the grid"):
        job.result(30)
    with gridnb.Grid.attach(account="jobs-left") as again:
        assert again.job(job.id).result(60) == 5


def test_a_grid_with_a_job_and_no_kernel_lives_until_the_job_ends():
    with dask.config.set({"gridnb.hub.linger": "1s"}):
        grid = gridnb.Grid(grids.catalog(), "5 GD", "jobs-alone")
    grid.request(workers=1).wait()
    job = grid.submit(work, 6, 9)
    until(lambda: job.status == "running")
    hub = grids.hub_of("jobs-alone")
    grid.disconnect()
    until(lambda: RunRecord.of(job.id).about()["state"] == "done", timeout=30)
    until(lambda: not hub.directory.exists(), timeout=30)  # and then it goes
    about = RunRecord.of(job.id).about()
    assert Decimal(about["cost"]) > 0
    assert grids.account("jobs-alone").held == 0


def test_the_end_of_the_budget_ends_a_job():
    with gridnb.Grid(grids.catalog(term="4s", price=36), "0.1 GD", "jobs-budget") as grid:
        grid.request(workers=1).wait()
        job = grid.submit(work, 120, 1)
        with pytest.raises(gridnb.GridError, match="budget"):
            job.result(60)
        assert grid.spent.amount <= Decimal("0.1")


def test_a_job_takes_a_lease_when_there_is_none(grid):
    from gridnb.broker import Request
    from gridnb.cells.pack import pack
    from gridnb.cells.run import Run

    with gridnb.Grid(grids.catalog(), "5 GD", "jobs-buys") as fresh:
        run = Run(fresh.new_run(), "1 + 1", {}, packed=pack("1 + 1", {}), returns="result")
        request = Request.of(workers=1).to_json()
        assert fresh.start(run, "sum", kind="cell", request=request).result(60) == 2
        assert len(fresh.status()["leases"]) == 1


def test_output_beyond_the_limit_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr("gridnb.hub.runs._MOST", 100)
    log = Log(tmp_path / "log")
    for n in range(50):
        log.put({"op": "stream", "name": "stdout", "text": f"{n}\n"})
    log.close()
    log.put({"op": "stream", "name": "stdout", "text": "late"})
    messages, offset = RunRecord("r", tmp_path).read_log()
    assert messages[0]["text"] == "0\n" and messages[-1]["op"] == "note"
    assert "not kept" in messages[-1]["text"] and len(messages) < 10
    assert offset == (tmp_path / "log").stat().st_size


def test_a_half_written_message_waits_for_its_rest(tmp_path):
    record, path = RunRecord("r", tmp_path), tmp_path / "log"
    path.write_bytes(b'{"op": "note", "text": "a"}\n{"op": "no')
    messages, offset = record.read_log()
    assert [each["text"] for each in messages] == ["a"]
    with path.open("ab") as file:
        file.write(b'te", "text": "b"}\n')
    messages, offset = record.read_log(offset)
    assert [each["text"] for each in messages] == ["b"] and offset == path.stat().st_size
