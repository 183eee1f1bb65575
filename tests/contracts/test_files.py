"""The two file stores keep the same promises: a directory, and S3 as an engine of its own that enforces conditions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from chalicelib.providers.files.local import Directory
from chalicelib.providers.files.s3 import Bucket
from chalicelib.providers.ports import FileStore, ProviderUnavailable
from infra.local.engines import find_ministack_python, start_ministack, wait_for_ministack
from infra.local.processes import Children, free_ports

BUCKET = "linli-test-files-000000000000"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 with our bucket in it."""
    folder = tmp_path_factory.mktemp("s3")
    children = Children(folder)
    (port,) = free_ports(1)
    wait_for_ministack(start_ministack(children, find_ministack_python(), port, ["s3"], folder), port)
    address = f"http://127.0.0.1:{port}"
    boto3.session.Session().client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield address
    children.stop()


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    if request.param == "directory":
        return Directory(str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", request.getfixturevalue("s3"))
    return Bucket(BUCKET)


def test_a_key_is_given_once(store: FileStore) -> None:
    """The second file of a key is refused, and the first stays what it was."""
    assert store.put_new("audit/once/a.json", b"first")
    assert not store.put_new("audit/once/a.json", b"second")
    assert store.get("audit/once/a.json") == b"first"


def test_of_many_at_once_one_wins(store: FileStore) -> None:
    """Sixteen writers of one key: one true, and the content is that writer's."""

    def put(i: int) -> bool:
        return store.put_new("audit/race/a.json", str(i).encode())

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(put, range(16)))
    assert won.count(True) == 1
    assert store.get("audit/race/a.json") == str(won.index(True)).encode()


def test_keys_are_listed_in_order(store: FileStore) -> None:
    """Those of a prefix, and none that was refused."""
    for name in ("c", "a", "b"):
        store.put_new(f"audit/list/{name}.json", b"x")
    store.put_new("other/d.json", b"x")
    assert list(store.list("audit/list/")) == [f"audit/list/{name}.json" for name in "abc"]
    assert list(store.list("audit/none/")) == []


def test_what_is_not_there_is_a_key_error(store: FileStore) -> None:
    """As in any mapping."""
    with pytest.raises(KeyError):
        store.get("audit/none.json")


def test_a_file_comes_in_pieces_and_whole(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was put from this machine; beyond its end there is nothing; what was opened outlives the block, and nothing
    else does."""
    monkeypatch.setattr("chalicelib.providers.files.s3._PART_BYTES", 1_000)
    content = bytes(range(256)) * 17
    given = tmp_path / "given"
    given.write_bytes(content)
    assert store.put_file("search/a.base", given)
    assert not store.put_file("search/a.base", given)
    assert store.get("search/a.base") == content
    assert store.read("search/a.base", 10, 300) == content[10:300]
    assert store.read("search/a.base", len(content) - 5, len(content) + 5) == content[-5:]
    assert store.read("search/a.base", len(content), len(content) + 5) == b""
    assert store.read("search/a.base", 7, 7) == b""
    before = set(Path(tempfile.gettempdir()).glob("linli-file-*"))
    with store.local("search/a.base") as path:
        opened = path.open("rb")
    with opened:
        store.delete("search/a.base")
        assert opened.read() == content
    assert set(Path(tempfile.gettempdir()).glob("linli-file-*")) == before


def test_an_empty_file_is_a_file(store: FileStore) -> None:
    """It has no byte that could be asked for."""
    store.put_new("search/empty.base", b"")
    assert store.read("search/empty.base", 0, 5) == b""
    with store.local("search/empty.base") as path:
        assert path.read_bytes() == b""


def test_what_is_removed_is_not_there(store: FileStore) -> None:
    """Its key is free again, and removing it twice is no error."""
    store.put_new("search/gone.base", b"x")
    for _ in range(2):
        store.delete("search/gone.base")
    for act in (lambda: store.read("search/gone.base", 0, 1), lambda: store.local("search/gone.base").__enter__()):
        with pytest.raises(KeyError):
            act()
    assert store.put_new("search/gone.base", b"y")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", ".part-1", "a b", "ä", "a" * 201])
def test_a_key_that_leads_elsewhere_is_refused(store: FileStore, key: str) -> None:
    """Before anything is read or written."""
    with pytest.raises(ValueError, match="not the key of a file"):
        store.put_new(key, b"x")
    with pytest.raises(ValueError, match="not the key of a file"):
        store.get(key)


def test_a_directory_leaves_no_parts(tmp_path: Path) -> None:
    """Neither a refused nor a stored file leaves anything beside it."""
    store = Directory(str(tmp_path))
    store.put_new("a/b.json", b"x")
    store.put_new("a/b.json", b"y")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b.json"]
    assert list(Directory(str(tmp_path / "nowhere")).list("")) == []


def test_an_s3_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the file was stored is not known: the port's own error says so."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    store = Bucket(BUCKET)
    for act in (
        lambda: store.put_new("a", b"x"),
        lambda: store.get("a"),
        lambda: list(store.list("a")),
        lambda: store.read("a", 0, 1),
    ):
        with pytest.raises(ProviderUnavailable):
            act()
