"""Which endings of a gang are retried: deaths, losses and what follows from them, never what would happen again."""

from __future__ import annotations

import signal

import pytest

from cluster.launchers.failures import Exit, WorkerFailure, ending_of, failure_of, is_connection_error
from pipeline.core.errors import Preempted, StageFailed, UserError

KILLED = Exit(1, "10.0.0.2", -signal.SIGKILL)


def failure(error: BaseException, at: float = 1.0) -> WorkerFailure:
    try:
        raise error
    except BaseException as raised:
        return {**failure_of(raised, "pretrain"), "time": at}


def broken_connection(rank: int) -> Exit:
    error = RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:4821")
    return Exit(rank, "10.0.0.1", 1, failure(error))


def kind_of(*exits: Exit, lost: dict[str, str] | None = None, made_steps: bool = True) -> str | None:
    ending = ending_of(exits, lost or {}, stage="pretrain", made_steps=made_steps)
    assert ending is not None
    return ending.kind


def test_a_death_explains_the_broken_connections_of_the_others() -> None:
    assert kind_of(broken_connection(0), KILLED) == "died"
    ending = ending_of([broken_connection(0), KILLED], {}, stage="pretrain", made_steps=True)
    assert ending is not None and ending.worker == "1" and ending.host == "10.0.0.2"
    assert str(ending.error) == (
        "pretrain: worker 1 on 10.0.0.2 was killed (SIGKILL): out of memory is the usual reason."
    )


def test_a_lost_host_explains_them_too() -> None:
    assert kind_of(broken_connection(0), lost={"10.0.0.2": "no answer for 15 s"}) == "lost"


@pytest.mark.parametrize("error", [UserError("too short."), StageFailed("the loss is not finite.")])
def test_an_error_of_our_own_is_not_retried_even_beside_a_death(error: Exception) -> None:
    ending = ending_of([KILLED, Exit(0, "", 1, failure(error))], {}, stage="pretrain", made_steps=True)
    assert ending is not None and ending.kind is None
    assert type(ending.error) is type(error) and str(ending.error) == str(error)


def test_a_mistake_in_the_code_is_not_retried_though_others_lose_their_connections() -> None:
    wrong = Exit(1, "", 1, failure(KeyError("none"), at=2.0))
    ending = ending_of([broken_connection(0), wrong], {}, stage="pretrain", made_steps=True)
    assert ending is not None and ending.kind is None
    assert "KeyError" in str(ending.error)


def test_connections_that_break_without_a_death_are_retried_only_if_they_ever_worked() -> None:
    assert kind_of(broken_connection(0), broken_connection(1), made_steps=True) == "connection"
    assert kind_of(broken_connection(0), broken_connection(1), made_steps=False) is None


@pytest.mark.parametrize("status", [Preempted.exit_code, -signal.SIGTERM])
def test_a_worker_that_was_asked_to_end_is_preempted(status: int) -> None:
    assert kind_of(Exit(0, "", status)) == "preempted"
    assert kind_of(Exit(0, "", status), KILLED) == "died"


def test_workers_that_run_or_have_finished_end_nothing() -> None:
    assert ending_of([], {}, stage="pretrain", made_steps=True) is None
    assert ending_of([Exit(0, "", 0)], {}, stage="pretrain", made_steps=True) is None


def test_an_exit_code_without_a_message_counts_as_a_death() -> None:
    assert kind_of(Exit(0, "", 3)) == "died"


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (ConnectionResetError("by peer"), True),
        (RuntimeError("NCCL error in: …, unhandled system error"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("socket 5 is not a number"), False),
    ],
)
def test_connection_errors_are_known_by_type_or_by_the_library_that_raised_them(error: Exception, is_one: bool) -> None:
    assert is_connection_error(error) is is_one


def test_the_errors_of_torch_distributed_are_connection_errors() -> None:
    import torch.distributed as dist

    assert is_connection_error(dist.DistNetworkError("refused"))
    assert is_connection_error(dist.DistStoreError("timed out"))
