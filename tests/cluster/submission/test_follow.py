"""Following a log: a connection that breaks is made again, and nothing is written twice or left out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from cluster.submission import follow as module
from cluster.submission.ray_jobs import NoAnswer, SubmittedJob

TEXT = "一\nsecond\nthird\nlast\n"


class Cluster:
    """A cluster whose stream breaks after some characters, one entry per connection; the job ends with the last."""

    def __init__(self, *connections: int, silent: bool = False) -> None:
        self.connections, self.at, self.silent = connections, 0, silent

    async def follow(self, job: str) -> AsyncGenerator[str, None]:
        end, self.at = self.connections[self.at], self.at + 1
        for start in range(0, end, 3):
            yield TEXT[start : min(end, start + 3)]
        if self.silent:
            import asyncio

            await asyncio.sleep(60)
        if self.at < len(self.connections):
            raise NoAnswer("head: no answer")

    def job(self, job: str) -> SubmittedJob:
        return SubmittedJob(job, "SUCCEEDED" if self.at == len(self.connections) else "RUNNING", exit_code=0)

    def log(self, job: str) -> str:
        return TEXT


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    monkeypatch.setattr(module, "SILENCE_S", 0.05)


def followed(cluster: Any) -> tuple[str, list[str], SubmittedJob]:
    pieces: list[str] = []
    remarks: list[str] = []
    state = module.follow(cluster, "job", pieces.append, remarks.append)
    return "".join(pieces), remarks, state


@pytest.mark.parametrize("connections", [(19,), (5, 19), (19, 4, 19), (0, 2, 0, 7, 12)])
def test_every_character_is_written_once(connections: tuple[int, ...]) -> None:
    text, remarks, state = followed(Cluster(*connections))
    assert text == TEXT and state.code == 0
    assert len(remarks) == (len(connections) > 1)


def test_a_connection_that_died_silently_does_not_hold_the_client() -> None:
    assert followed(Cluster(7, silent=True))[0] == TEXT


def test_a_cluster_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)

    class Gone(Cluster):
        async def follow(self, job: str) -> AsyncGenerator[str, None]:
            raise NoAnswer("head: no answer")
            yield ""

    with pytest.raises(NoAnswer):
        followed(Gone(1))
