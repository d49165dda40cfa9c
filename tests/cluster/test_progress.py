"""Where a stage stands, from messages that may be lost: figures to plan by, and a socket that disturbs nobody."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cluster.console import Console, Terminal
from cluster.progress import LONGEST_ADDRESS, Listener, StageProgress
from pipeline.core.progress import Progress


def standing(*messages: tuple[float, dict[str, object]]) -> StageProgress:
    made = StageProgress("dedupe", started=0.0)
    for when, message in messages:
        made.apply(message, when)
    return made


def test_a_step_says_how_far_how_fast_and_how_long_still() -> None:
    made = standing(
        (0.0, {"kind": "total", "step": "compare", "total": 40e6, "unit": "bytes"}),
        *((float(t), {"kind": "add", "step": "compare", "n": 2e6}) for t in range(1, 6)),
    )
    assert made.line(5.0) == "compare 10 MB of 40 MB · 2 MB/s · 15 s left"
    assert made.share == 0.25


def test_what_an_earlier_attempt_had_done_is_no_speed() -> None:
    made = standing(
        (0.0, {"kind": "total", "step": "train", "total": 100, "unit": "steps"}),
        (0.0, {"kind": "add", "step": "train", "n": 50}),
        (10.0, {"kind": "add", "step": "train", "n": 10}),
    )
    assert made.line(10.0) == "train 60 of 100 steps · 1 steps/s · 40 s left"


def test_training_shows_losses_and_tokens_a_second() -> None:
    made = standing(
        (0.0, {"kind": "total", "step": "train", "total": 100, "unit": "steps"}),
        (1.0, {"kind": "train", "step": 1, "loss": 9.01, "tokens_per_second": 1234.0}),
        (1.0, {"kind": "add", "step": "train"}),
        (2.0, {"kind": "validate", "step": 1, "loss": 9.5}),
    )
    assert made.line(2.0) == "train 1 of 100 steps · loss 9.010 · validation 9.500 · 1.23 k tokens/s · 1 min 39 s left"


def test_a_stage_that_has_said_nothing_is_starting() -> None:
    assert standing().line(3.2) == "starting, 3.2 s"
    assert standing((0.0, {"kind": "unknown"})).line(1.0) == "starting, 1.0 s"


def test_messages_arrive_and_a_flood_blocks_nobody() -> None:
    with Listener() as listener:
        progress = Progress(listener.address, "ingest")
        for _ in range(20_000):  # far more than the socket holds: the rest is lost, the sender goes on
            progress.add("read")
        progress.note("read", "铁矿")
        first = next(listener.receive(1.0))
    assert first == {"kind": "add", "stage": "ingest", "step": "read", "n": 1}
    progress.add("read")  # nobody listens any more


def test_the_socket_lies_in_a_short_folder_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with Listener() as listener:
        assert len(listener.address.encode()) <= LONGEST_ADDRESS
        assert Path(listener.folder).exists()
    assert not Path(listener.folder).exists()


def test_plain_lines_come_every_few_seconds_and_not_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    console, made = Console(stream), StageProgress("pack", started=0.0)
    console.stages(["ingest", "pack"])
    console.begin(2, 2, "pack")
    for clock[0] in (0.1, 1.0, 2.5, 3.0, 7.0, 8.0):
        console.update(made)
    console.end("done", "in 8 s")
    lines = stream.getvalue().splitlines()
    assert lines == ["[2/2] pack     starting, 2.5 s", "[2/2] pack     starting, 8.0 s", "[2/2] pack   ✓ in 8 s"]


def test_a_terminal_draws_over_its_own_line_and_keeps_the_finished_ones() -> None:
    stream = io.StringIO()
    console = Terminal(stream)
    console.begin(1, 1, "ingest")
    console.update(standing((0.0, {"kind": "total", "step": "read", "total": 9, "unit": "files"})))
    console.end("failed", "ingest: 坏了 [not markup]")
    console.close()
    assert "ingest: 坏了 [not markup]" in stream.getvalue()
