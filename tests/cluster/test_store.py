"""A site's store: what lies under a digest is what was staged, and never more than the limit."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gridnb import staged
from gridnb.cluster.store import Corrupt, Manifest, Store, parts_of, read
from gridnb.errors import StageError

FILES = st.dictionaries(
    st.sampled_from(["d/a", "d/b", "d/sub/c", "d/sub/e"]), st.binary(max_size=40), min_size=1
)


def manifest_of(files: dict[str, bytes]) -> Manifest:
    return Manifest.of(
        (path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()
    )


def bring(store: Store, files: dict[str, bytes]) -> list[str]:
    """Bring an item as a transfer does, piece by piece."""
    contents = {hashlib.sha256(data).hexdigest(): data for data in files.values()}
    with store.writing(manifest_of(files)) as writer:
        for group in parts_of(writer.missing, size=7):
            for part in group:
                writer.feed(contents[part.digest][part.offset : part.offset + part.size])
        writer.finish()
        return writer.evicted


def content(store: Store, digest: str) -> dict[str, bytes]:
    tree = store.trees / digest
    return {p.relative_to(tree).as_posix(): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "4fe1" / "alpha", 100)
    made.prepare()
    return made


class Stores(RuleBasedStateMachine):
    """Items come, are used, interrupted, damaged on their way; the store stays true."""

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self.store = Store(Path(self._home.name) / "g" / "a", 60)
        self.store.prepare()
        self.known: dict[str, dict[str, bytes]] = {}
        self.held: set[str] = set()

    def teardown(self) -> None:
        staged.release(None)
        self._home.cleanup()

    @rule(files=FILES)
    def comes(self, files: dict[str, bytes]) -> None:
        manifest = manifest_of(files)
        before = set(self.store.digests())
        try:
            bring(self.store, files)
        except StageError:
            assert set(self.store.digests()) == before
            return
        self.known[manifest.digest] = files
        assert self.store.has(manifest.digest)

    @rule(files=FILES, keep=st.integers(0, 40))
    def is_interrupted(self, files: dict[str, bytes], keep: int) -> None:
        manifest = manifest_of(files)
        contents = {hashlib.sha256(d).hexdigest(): d for d in files.values()}
        try:
            with self.store.writing(manifest) as writer:
                whole = b"".join(contents[blob] for blob in writer.missing)
                writer.feed(whole[:keep])
                writer.close()
        except StageError:
            return

    @rule(files=FILES.filter(lambda files: any(files.values())))
    def is_damaged(self, files: dict[str, bytes]) -> None:
        manifest = manifest_of(files)
        contents = {hashlib.sha256(d).hexdigest(): d for d in files.values()}
        try:
            with self.store.writing(manifest) as writer:
                whole = bytearray(b"".join(contents[blob] for blob in writer.missing))
                if whole:
                    whole[0] ^= 1
                    with pytest.raises(Corrupt):
                        writer.feed(bytes(whole))
                    writer.close()
        except StageError:
            return

    @precondition(lambda self: self.store.digests())
    @rule(data=st.data())
    def is_used(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(self.store.digests()))
        staged.hold(self.store.root, digest)
        self.held.add(digest)

    @rule()
    def is_let_go(self) -> None:
        staged.release(None)
        self.held.clear()

    @invariant()
    def holds(self) -> None:
        assert self.store.size() <= self.store.limit
        assert self.held <= set(self.store.digests())
        for digest in self.store.digests():
            assert content(self.store, digest) == self.known[digest]
        for blob in self.store.blobs.iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)


@given(sizes=st.lists(st.integers(0, 50), max_size=8), size=st.integers(1, 20))
def test_parts_cover_all_bytes_in_order(sizes: list[int], size: int) -> None:
    missing = {f"{n}": length for n, length in enumerate(sizes)}
    groups = parts_of(missing, size)
    assert all(sum(p.size for p in group) == size for group in groups[:-1])
    found = [(p.digest, p.offset + n) for group in groups for p in group for n in range(p.size)]
    assert found == [(blob, n) for blob, length in missing.items() for n in range(length)]


def test_the_least_recently_used_goes_first(store: Store) -> None:
    items = [{f"f{n}": bytes([n]) * 30} for n in range(3)]
    for n, each in enumerate(items):
        bring(store, each)
        os.utime(store.uses / manifest_of(each).digest, (n, n))
    os.utime(store.uses / manifest_of(items[0]).digest, (9, 9))
    evicted = bring(store, {"g": b"g" * 30})
    assert evicted == [manifest_of(items[1]).digest]
    assert store.size() == 90


def test_what_is_in_use_is_never_evicted(store: Store) -> None:
    first = {"f": b"f" * 60}
    bring(store, first)
    digest = manifest_of(first).digest
    staged.hold(store.root, digest)
    with pytest.raises(StageError, match="no room for g .*limit is 100 B"):
        bring(store, {"g": b"g" * 60})
    assert store.has(digest)
    staged.release(None)
    assert bring(store, {"g": b"g" * 60}) == [digest]


def test_content_that_is_there_is_not_asked_for_again(store: Store) -> None:
    bring(store, {"d/a": b"same" * 5, "d/b": b"old"})
    with store.writing(manifest_of({"d/a": b"same" * 5, "d/b": b"new"})) as writer:
        assert list(writer.missing.values()) == [3]


def test_an_interrupted_transfer_leaves_no_half_file_and_goes_on_where_it_was(store: Store) -> None:
    files = {"d/a": b"a" * 20, "d/b": b"b" * 20}
    manifest = manifest_of(files)
    with store.writing(manifest) as writer:
        whole = b"".join(
            b"a" * 20 if blob == manifest.entries[0].digest else b"b" * 20
            for blob in writer.missing
        )
        writer.feed(whole[:30])
        writer.close()
    assert not store.has(manifest.digest)
    assert not any(store.trees.iterdir())
    with store.writing(manifest) as writer:
        assert list(writer.missing.values()) == [20]


def test_a_file_that_was_changed_is_not_given_out_and_is_brought_again(store: Store) -> None:
    files = {"f": b"precious"}
    bring(store, files)
    blob = next(store.blobs.iterdir())
    blob.chmod(0o600)
    blob.write_bytes(b"PRECIOUS")
    with pytest.raises(Corrupt):
        read(store.blob, [(blob.name, 0, 8)])
    bring(store, files)
    assert content(store, manifest_of(files).digest) == files


@pytest.mark.parametrize("path", ["../f", "d/../../f", "/f", "d//f", "./f"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(StageError, match="is no path of a staged item"):
        Manifest.of([(path, 1, "0" * 64)])


@pytest.mark.parametrize(
    ("path", "size", "digest"),
    [
        ("f", 1, "/home/u/x"),
        ("f", 1, "../../x"),
        ("f", 1, "A" * 64),
        ("f", 1, "0" * 63),
        ("f", 1, "0" * 64 + "\n"),
        ("f", -1, "0" * 64),
        ("f", 0, ""),
        ("d/", 0, "0" * 64),
    ],
)
def test_a_digest_is_no_path_and_a_size_is_one(path: str, size: int, digest: str) -> None:
    with pytest.raises(StageError, match="has no size and digest of a staged file"):
        Manifest.of([(path, size, digest)])


def test_an_item_has_files() -> None:
    with pytest.raises(StageError, match="there are no files in it"):
        Manifest.of([])


def test_empty_directories_and_files(store: Store) -> None:
    manifest = Manifest.of([("d/empty/", 0, ""), ("d/f", 0, hashlib.sha256(b"").hexdigest())])
    with store.writing(manifest) as writer:
        writer.finish()
    tree = store.trees / manifest.digest / "d"
    assert (tree / "empty").is_dir() and (tree / "f").read_bytes() == b""
