"""The S3 server and the faults that tests of other packages rely on: each fault happens, and clients see it."""

from __future__ import annotations

import pytest

from tests.support.faulty_proxy import RECOVERABLE, Fault, FaultyProxy, Kind, Plan
from tests.support.s3 import S3Server, use_environment

BODY = bytes(range(256)) * 4096  # 1 MiB


def _client(proxy: FaultyProxy, server: S3Server, *, attempts: int):  # type: ignore[no-untyped-def]
    import botocore.config
    import botocore.session

    config = botocore.config.Config(
        retries={"total_max_attempts": attempts}, connect_timeout=2, read_timeout=1, s3={"addressing_style": "path"}
    )
    return botocore.session.Session().create_client(
        "s3", endpoint_url=proxy.url, region_name="us-east-1", config=config,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("kind", RECOVERABLE)
def test_every_fault_happens_and_a_client_that_tries_again_recovers(
    kind: Kind, s3_server: S3Server, s3_bucket: str
) -> None:
    plan = Plan([Fault(kind, keys="*/object")], hold_s=2.0)
    with FaultyProxy(s3_server.url, plan) as proxy:
        client = _client(proxy, s3_server, attempts=4)
        client.put_object(Bucket=s3_bucket, Key="object", Body=BODY)
        answer = client.get_object(Bucket=s3_bucket, Key="object")
        if kind == "short":  # botocore does not ask again for the rest of a body
            with pytest.raises(Exception, match="IncompleteRead|Connection broken"):
                answer["Body"].read()
            answer = client.get_object(Bucket=s3_bucket, Key="object")
        assert answer["Body"].read() == BODY
    assert proxy.injected[kind] == (1 if kind in ("cut upload", "slow", "short") else 2)


@pytest.mark.long
def test_without_another_attempt_each_fault_is_an_error(s3_server: S3Server, s3_bucket: str) -> None:
    for kind in ("timeout", "500", "503", "reset", "cut upload", "answer lost"):
        with FaultyProxy(s3_server.url, Plan([Fault(kind)], hold_s=2.0)) as proxy:
            with pytest.raises(Exception) as raised:  # noqa: B017
                _client(proxy, s3_server, attempts=1).put_object(Bucket=s3_bucket, Key=kind, Body=BODY)
            assert "botocore" in type(raised.value).__module__
    stored = {entry["Key"] for entry in s3_server.client().list_objects_v2(Bucket=s3_bucket)["Contents"]}
    assert stored == {"answer lost"}


@pytest.mark.long
def test_wrong_bytes_arrive_without_an_error(s3_server: S3Server, s3_bucket: str) -> None:
    s3_server.client().put_object(Bucket=s3_bucket, Key="object", Body=BODY)
    for kind, expected in (("truncated", BODY[: len(BODY) // 2]), ("damaged", BODY[:-1] + bytes([BODY[-1] ^ 1]))):
        with FaultyProxy(s3_server.url, Plan([Fault(kind)])) as proxy:
            client = _client(proxy, s3_server, attempts=1)
            # without a checksum that the server keeps, which clients compare
            answer = client.get_object(Bucket=s3_bucket, Key="object", Range=f"bytes=0-{len(BODY) - 1}")
            assert answer["Body"].read() == expected


@pytest.mark.long
def test_a_server_that_was_killed_has_its_objects_when_it_starts_again(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    with fsspec.open(f"s3://{s3_bucket}/before", "wb") as stream:
        stream.write(BODY)
    s3_server.restart()
    use_environment(s3_server.environment, monkeypatch)
    with fsspec.open(f"s3://{s3_bucket}/before", "rb") as stream:
        assert stream.read() == BODY


def test_a_plan_depends_on_the_request_alone() -> None:
    plan = Plan(seed=3, rate=0.3)
    requests = [f"GET /bucket/{number} None" for number in range(500)]
    faults = [plan.fault("GET", "bucket/key", request, 1) for request in requests]
    assert faults == [plan.fault("GET", "bucket/key", request, 1) for request in requests]
    struck = [fault for fault in faults if fault]
    assert 100 < len(struck) < 200
    assert set(struck) == set(RECOVERABLE) - {"cut upload"}  # a GET uploads nothing
    assert not any(plan.fault("GET", "bucket/key", request, 2) for request in requests)
