"""The objects of a store on a real S3 server, behind a proxy that injects faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core import objects as module
from pipeline.core.cache import Cache
from pipeline.core.errors import StageFailed
from pipeline.core.file_systems import sentence_of
from pipeline.core.files import sha256_bytes
from pipeline.core.objects import ObjectStore
from pipeline.core.probe import probe
from tests.support.faulty_proxy import RECOVERABLE, Fault, FaultyProxy, Kind, Plan
from tests.support.s3 import S3Server, use_environment

pytestmark = pytest.mark.long
DATA = os.urandom(300_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.05)
    yield


@pytest.mark.parametrize("kind", RECOVERABLE)
def test_every_operation_recovers_from_every_fault_that_passes(
    kind: Kind, s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    with FaultyProxy(s3_server.url, Plan([Fault(kind)], hold_s=1.0)) as proxy:
        use_environment(proxy.environment(s3_server.environment), monkeypatch)
        store = ObjectStore(f"s3://{s3_bucket}/w")
        store.upload(source, "a/file")
        store.put("a/small", b"x" * 100)
        # the put whose answer was lost is our own; another's is not
        assert store.put_if_absent("a/claim", b"mine" * 20)
        assert not store.put_if_absent("a/claim", b"another" * 20)
        store.put_record("a/record", {"n": list(range(30))})
        assert store.list("a") == ["a/claim", "a/file", "a/record", "a/small"]
        assert store.size("a/file") == len(DATA) and store.read("a/claim") == b"mine" * 20
        assert store.read_range("a/file", 1000, 200_000) == DATA[1000:201_000]
        assert store.read_record("a/record") == {"n": list(range(30))}
        store.download("a/file", tmp_path / "copy", sha256_bytes(DATA))
        assert (tmp_path / "copy").read_bytes() == DATA
        store.delete("a/small")
        assert not store.exists("a/small")
        assert proxy.injected[kind]


@pytest.mark.parametrize("kind", ["truncated", "damaged"])
def test_wrong_bytes_are_never_taken_for_what_was_written(
    kind: Kind, s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = ObjectStore(f"s3://{s3_bucket}/w")
    store.put("file", DATA)
    store.put_record("record", {"n": list(range(30))})
    for times in (1, 100):
        with FaultyProxy(s3_server.url, Plan([Fault(kind, times=times)])) as proxy:
            use_environment(proxy.environment(s3_server.environment), monkeypatch)
            if times == 1:
                store.download("file", tmp_path / "copy", sha256_bytes(DATA))
                assert (tmp_path / "copy").read_bytes() == DATA
                assert store.read_record("record") == {"n": list(range(30))}
                continue
            with pytest.raises(StageFailed, match="is not what was published|did not match calculated checksum"):
                store.download("file", tmp_path / "other", sha256_bytes(DATA))
            with pytest.raises(StageFailed, match="is not what was written|did not match calculated checksum"):
                store.read_record("record")
            assert not (tmp_path / "other").exists()


def test_what_is_wrong_with_a_store_is_said_in_a_few_words(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe(f"s3://{s3_bucket}/w") is None
    # this server makes a bucket that is not there; S3 does not
    assert sentence_of(FileNotFoundError("The specified bucket does not exist"), "s3") == (
        "there is no such bucket or folder"
    )
    use_environment({"AWS_SECRET_ACCESS_KEY": "wrong-and-secret"}, monkeypatch)
    assert probe(f"s3://{s3_bucket}/w") == (
        "access is denied: the credentials of the environment may not do this, or are not known there"
    )
    use_environment({**s3_server.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, monkeypatch)
    assert probe(f"s3://{s3_bucket}/w") == "nothing answers at 127.0.0.1"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    use_environment({"AWS_ENDPOINT_URL": s3_server.url, "AWS_EC2_METADATA_DISABLED": "true"}, monkeypatch)
    assert "no credentials were found in the environment" in str(probe(f"s3://{s3_bucket}/w"))


def test_a_cached_file_is_downloaded_once(s3_bucket: str, tmp_path: Path) -> None:
    store, cache = ObjectStore(f"s3://{s3_bucket}/w"), Cache(tmp_path)
    store.put("file", DATA)
    for _ in range(2):
        path = cache.get("files/x", lambda target: store.download("file", target, sha256_bytes(DATA)))
        assert path.read_bytes() == DATA
        store.delete("file")
