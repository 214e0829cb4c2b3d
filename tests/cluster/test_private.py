"""What gridnb takes from distributed that is not public is still there, and still that."""

from __future__ import annotations

import inspect
import re

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
        ("Scheduler", "_transition_waiting_processing", {"key", "stimulus_id"}),
        ("Scheduler", "_transition_waiting_queued", {"key", "stimulus_id"}),
        ("Scheduler", "_transition_queued_processing", {"key", "stimulus_id"}),
        ("Scheduler", "_add_to_processing", {"ts", "ws", "stimulus_id"}),
        ("Scheduler", "_remove_key", {"key"}),
        ("Scheduler", "_task_to_msg", {"ts"}),
        ("Scheduler", "_get_prefix_duration", {"prefix"}),
        ("Scheduler", "stimulus_queue_slots_maybe_opened", {"stimulus_id"}),
        ("Scheduler", "decide_worker_non_rootish", {"ts"}),
        ("Scheduler", "is_rootish", {"ts"}),
        ("Scheduler", "valid_workers", {"ts"}),
        ("Scheduler", "get_comm_cost", {"ts", "ws"}),
        ("Scheduler", "handle_task_finished", {"key", "worker", "stimulus_id"}),
        ("Scheduler", "handle_worker_status_change", {"status", "worker", "stimulus_id"}),
        ("Scheduler", "handle_request_refresh_who_has", {"keys", "worker", "stimulus_id"}),
        ("Scheduler", "add_keys", {"worker", "keys", "stimulus_id"}),
        ("WorkStealing", "_get_thief", {"ts", "potential_thieves", "occupancies"}),
        ("ShuffleSchedulerPlugin", "_calculate_worker_for", {"spec"}),
        ("Scheduler", "retire_workers", {"names", "close_workers", "remove", "stimulus_id"}),
        ("Scheduler", "request_acquire_replicas", {"addr", "keys", "stimulus_id"}),
        ("Scheduler", "set_restrictions", {"worker"}),
        ("Scheduler", "transitions", {"recommendations", "stimulus_id"}),
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


def test_transitions_are_functions_in_a_table_of_the_class() -> None:
    from gridnb.cluster.placement import SiteScheduler

    table, plain = SiteScheduler._TRANSITIONS_TABLE, private.Scheduler._TRANSITIONS_TABLE
    ours = {move for move, function in table.items() if plain[move] is not function}
    assert ours == {("waiting", "processing"), ("waiting", "queued"), ("queued", "processing")}
    for start, finish in ours:
        name = f"_transition_{start}_{finish}"
        assert table[start, finish] is getattr(SiteScheduler, name)
        assert plain[start, finish] is getattr(private.Scheduler, name)


def test_a_queue_is_used_as_a_set() -> None:
    """What Dask does with its queue, ours can do too."""
    import distributed.scheduler

    from gridnb.cluster.queues import Queues

    used = re.findall(r"self\.queued\.(\w+)", inspect.getsource(distributed.scheduler))
    assert set(used) == {"add", "remove", "discard", "peek"}
    assert all(callable(getattr(Queues, name)) for name in used)


def test_a_shuffle_asks_its_specification_for_workers() -> None:
    source = inspect.getsource(private.ShuffleSchedulerPlugin._calculate_worker_for)
    assert set(re.findall(r"\bspec\.(\w+)", source)) == {
        "id",
        "output_partitions",
        "pick_worker",
    }


def test_a_shuffle_notes_on_tasks_that_it_has_bound_them() -> None:
    from gridnb.cluster.moving import SHUFFLE

    assert f'annotations["{SHUFFLE}"] = ' in inspect.getsource(private.ShuffleSchedulerPlugin)


def test_a_worker_that_is_closing_can_be_told_to_run_again() -> None:
    source = inspect.getsource(private.Worker.handle_worker_status_change)
    assert "self.status = new_status" in source


def test_a_worker_asks_again_for_a_result_of_which_it_knows_no_holder() -> None:
    """On this stands that a result crosses to a site once: see `gridnb.cluster.fetching`."""
    from distributed.worker_state_machine import WorkerState as State

    from gridnb.cluster.private import Worker

    assert "find_missing, 1000" in inspect.getsource(Worker.__init__)
    assert "RequestRefreshWhoHasMsg" in inspect.getsource(State._handle_find_missing)
    assert "refresh-who-has" in inspect.getsource(Worker.__init__)


def test_the_memory_manager_takes_another_policy_in_the_place_of_its_own() -> None:
    from distributed.active_memory_manager import ActiveMemoryManagerExtension

    for name in ("policies", "pending", "scheduler"):
        assert name in ActiveMemoryManagerExtension.__annotations__
    assert private.Suggestion._fields == ("op", "ts", "candidates")
    assert "manager" in private.ActiveMemoryManagerPolicy.__slots__


def test_what_is_read_of_a_state_is_there() -> None:
    def has(owner: type, *names: str) -> set[str]:
        known = set(getattr(owner, "__slots__", ())) | set(owner.__annotations__) | set(dir(owner))
        return {name for name in names if name not in known}

    assert not has(private.WorkerState, "extra", "executing", "last_seen", "has_what", "actors")
    assert not has(private.WorkerState, "memory_limit", "nbytes", "processing", "status")
    assert not has(private.TaskState, "who_has", "who_wants", "waiters", "run_spec", "actor")
    assert not has(private.TaskState, "dependencies", "annotations", "processing_on", "prefix")
    assert not has(private.WorkerState, "long_running")
    assert not has(private.TaskState, "worker_restrictions", "loose_restrictions", "dependents")
    source = inspect.getsource(inspect.getmodule(private.Scheduler))
    for name in ("unrunnable", "queued", "running", "replicated_tasks", "stream_comms"):
        assert f"self.{name}" in source
    assert "duration_average = -1" in source


def test_a_worker_that_closes_gracefully_starts_nothing_and_hands_out_what_it_has() -> None:
    setter = inspect.getsource(private.Worker.status.fset)
    assert "closing_gracefully" in setter and "PauseEvent" in setter
