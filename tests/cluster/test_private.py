"""What gridnb takes from distributed that is not public is still there, and still that."""

from __future__ import annotations

import inspect

import pytest

from gridnb.cluster import private


@pytest.mark.parametrize("name", private.__all__)
def test_it_is_there(name: str) -> None:
    assert getattr(private, name) is not None


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        ("Scheduler", "add_worker", {"comm", "address", "name"}),
        ("Scheduler", "restart_workers", {"workers", "timeout", "wait_for_workers", "on_error"}),
        ("Scheduler", "worker_objective", {"ts", "ws"}),
        ("Scheduler", "check_idle_saturated", {"ws", "occ"}),
        ("Scheduler", "remove_worker", {"address", "stimulus_id"}),
        ("Scheduler", "retire_workers", {"names", "close_workers", "remove", "stimulus_id"}),
        ("TLS", "write", {"msg", "serializers", "on_error"}),
        ("TLS", "handshake_info", set()),
        ("Cluster", "_start", set()),
        ("Cluster", "adapt", set()),
    ],
)
def test_it_takes_what_we_give(owner: str, method: str, parameters: set[str]) -> None:
    found = inspect.signature(getattr(getattr(private, owner), method))
    assert parameters <= set(found.parameters)


def test_the_client_submits_through_one_method() -> None:
    from distributed import Client

    for method in (Client.submit, Client.map, Client.compute, Client.persist, Client.get):
        assert "_graph_to_futures" in inspect.getsource(method)


def test_a_worker_sets_up_tasks_by_the_name_of_its_executor() -> None:
    from distributed.worker import Worker

    from gridnb.cluster.worker import SiteThreadPoolExecutor

    assert '"ThreadPoolExecutor" in str(type(e))' in inspect.getsource(Worker)
    assert "ThreadPoolExecutor" in str(SiteThreadPoolExecutor)


def test_a_worker_sets_plugins_up_before_it_can_be_given_a_task() -> None:
    source = inspect.getsource(private.Worker.start_unsafe)
    assert source.index("_pending_plugins") < source.index("_register_with_scheduler")


def test_a_task_knows_its_key_in_its_thread() -> None:
    from distributed import worker

    assert worker.thread_state is private.thread_state
    assert "thread_state.key" in inspect.getsource(worker)
