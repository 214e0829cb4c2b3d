"""Values that stay in a cell process: what is known of them, what changes, and their copies."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from gridnb.cells.kept import Kept
from gridnb.cells.store import Store


class Place:
    """A process that can be lost, and remembers what it is to forget."""

    def __init__(self, site: str) -> None:
        self.site, self.alive = site, True
        self.forgotten: list[str] = []

    def fetch(self, key: str) -> str:
        return f"{key} from {self.site}"

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


def test_the_same_value_has_one_key_and_a_private_one_is_not_known_elsewhere():
    store, value = Store("w"), [1]
    key = store.put(value, 10)
    assert store.put(value, 10) == key and store.get(key) is value
    one = store.put(1, 5, shared=False)
    assert store.known() == {id(value): key}
    assert store.put(1, 5) == one and id(1) in store.known()
    assert store.info(key) == {"nbytes": 10, "kind": "list", "text": "[1]"}
    store.drop([key, "unknown"])
    with pytest.raises(LookupError, match="another cell process"):
        store.get(key)


def test_a_change_in_place_is_noticed_once():
    store, xs, ys = Store("w"), [1], np.zeros(10**5)
    a, b, c = store.put(xs, 1), store.put(ys, 1), store.put((i for i in xs), None)
    store.watch([a, b])
    assert store.altered([a, b]) == []
    ys[-1] = 1
    assert store.altered([a, b]) == [b] and store.altered([a, b]) == []
    store.watch([a])  # a body that may change the others runs
    ys[0] = 1
    store.watch([a, b])
    assert store.altered([a, b]) == []
    store.watch([c])
    assert store.altered([c]) == [c], "what cannot be compared may have changed"


def test_copies_share_what_the_values_share_and_bring_their_globals():
    source, target = Store("a"), Store("b")
    space = {"__name__": "__main__", "k": 5}
    exec("def f(): return k", space)
    xs = np.arange(10**5)
    keys = [source.put(xs, 1), source.put({"xs": xs}, 1), source.put([space["f"]], None)]
    header, parts = source.pack(keys)
    target.unpack(header, [bytearray(part) for part in parts])
    copy, holder, (function,) = (target.get(key) for key in keys)
    assert holder["xs"] is copy and copy is not xs and (copy == xs).all()
    copy[0] = 7
    assert function() == 5 and target.info(keys[0]) == source.info(keys[0])
    assert target.put(copy, 1) == keys[0]


def test_a_remote_is_at_the_places_that_live():
    kept, alpha, beta = Kept(lambda site: f", {site} is dear"), Place("alpha"), Place("beta")
    info = {"nbytes": 2048, "kind": "list", "text": "[]"}
    remote = kept.remote("k", alpha, info)
    assert kept.remote("k", beta, None) is remote
    assert repr(remote) == "<Remote list at alpha, 2.00 KiB, alpha is dear: []>"
    kept.add("k", beta)
    assert remote.sites == ["alpha", "beta"] and remote.fetch() == "k from alpha"
    alpha.alive = False
    assert remote.fetch() == "k from beta" and remote.site == "beta"
    beta.alive = False
    assert kept.lost([remote]) is remote and remote.sites == []
    assert repr(remote).startswith("<Remote list lost at beta, 2.00 KiB")
    with pytest.raises(Exception, match="was kept at beta, and the process that held it has ended"):
        remote.fetch()


def test_what_is_out_of_date_or_forgotten_is_dropped_there():
    kept, alpha, beta = Kept(), Place("alpha"), Place("beta")
    remote = kept.remote("k", alpha, {"nbytes": None, "kind": "x", "text": ""})
    kept.add("k", beta)
    kept.want("k", 2)
    kept.only("k", beta)
    assert alpha.forgotten == ["k"] and kept.holds(beta) and not kept.holds(alpha)
    gone = weakref.ref(remote)
    del remote
    gc.collect()
    assert gone() is None and beta.forgotten == ["k"] and not kept.holds(beta)
    assert kept.wanted("k") == 1
    with pytest.raises(LookupError, match="was given up"):
        kept.remote("k", alpha, None)


def test_a_remote_refuses_what_only_a_value_can_do():
    remote = Kept().remote("k", Place("alpha"), {"nbytes": 1, "kind": "x", "text": ""})
    for attempt in (lambda: len(remote), lambda: remote.shape, lambda: remote + 1):
        with pytest.raises((TypeError, AttributeError), match="stayed at site alpha"):
            attempt()
    assert not hasattr(remote, "shape")
