"""Shares of sources and languages: exact, within their limits, the same rows for any workers and for trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.core.artifact import Artifact
from pipeline.core.counts import GroupCounts
from pipeline.core.errors import UserError
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job
from pipeline.core.manifest import Manifest
from pipeline.kernels.balanced_sequence import balance
from training.mixture import Mixture
from training.order import training_order
from training.stages.pretrain import run
from training.trainer import mixed_order as module
from training.trainer.mixed_order import MixedOrder, mixed_order

SIZES = {("books", "en"): 40, ("books", "zh"): 10, ("web", "en"): 200, ("web", "zh"): 50}


def groups_of(sizes: dict[tuple[str, str], int] = SIZES) -> list[GroupCounts]:
    return [
        {"source": source, "language": language, "documents": rows, "tokens": 16 * rows, "rows": rows}
        for (source, language), rows in sizes.items()
    ]


def order_of(steps: int = 100, batch_rows: int = 8, seed: int = 3, **options: Any) -> MixedOrder:
    mixture = Mixture.model_validate(options)
    return mixed_order(mixture, groups_of(), seed=seed, steps=steps, batch_rows=batch_rows)


def rows_of(order: MixedOrder) -> np.ndarray[Any, Any]:
    return order.rows(np.arange(order.places))


def read_of(rows: Sequence[int] | np.ndarray[Any, Any]) -> list[int]:
    """How many rows are of each group."""
    edges = np.cumsum(list(SIZES.values()))
    return np.bincount(np.searchsorted(edges, rows, side="right"), minlength=len(SIZES)).tolist()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_every_beginning_of_the_sequence_has_the_shares_to_within_one(counts: list[int]) -> None:
    n = sum(counts)
    kinds, ranks = np.empty(n, np.int64), np.empty(n, np.int64)
    balance(np.array(counts), kinds, ranks)
    for kind, count in enumerate(counts):
        before = np.cumsum(kinds == kind)
        quota = np.arange(1, n + 1) * count / n
        assert before[-1] == count and (np.abs(before - quota) < 1).all()
        assert ranks[kinds == kind].tolist() == list(range(count))


def test_shares_are_those_of_the_weights_at_every_step() -> None:
    order = order_of(sources={"books": 3, "web": 1}, languages={"en": 1, "zh": 1})
    rows = rows_of(order)
    for end in (8, 80, 400, 800):
        for read, share in zip(read_of(rows[:end]), (0.375, 0.375, 0.125, 0.125), strict=True):
            assert abs(read - share * end) <= 1
    assert order.visits(800) == read_of(rows) == [group["read"] for group in order.counts()]


def test_an_epoch_of_a_group_reads_every_row_of_it_once_and_the_next_in_another_order() -> None:
    rows = rows_of(order_of(sources={"books": 1, "web": 0}, languages={"en": 1, "zh": 0}))
    epochs = rows[:800].reshape(20, 40)
    assert (np.sort(epochs, axis=1) == np.arange(40)).all()
    assert not (epochs[0] == epochs[1]).all()


def test_the_order_of_a_source_does_not_depend_on_the_others() -> None:
    alone, mixed = rows_of(order_of(sources={"books": 1, "web": 0})), rows_of(order_of(sources={"books": 1, "web": 1}))
    assert (mixed < 50).sum() == 400
    for group in (mixed < 40, (mixed >= 40) & (mixed < 50)):
        of_group = alone[np.isin(alone, mixed[group])]
        assert mixed[group].tolist() == of_group[: group.sum()].tolist()


def test_without_weights_shares_follow_sizes_and_temperature_levels_them() -> None:
    assert read_of(rows_of(order_of(steps=300 // 4, batch_rows=4))) == [40, 10, 200, 50]
    level = read_of(rows_of(order_of(temperature=1000)))
    assert max(level) - min(level) <= 3
    halfway = read_of(rows_of(order_of(temperature=2)))
    assert halfway[2] / halfway[1] == pytest.approx(20**0.5, rel=0.03)


def test_what_is_used_up_leaves_its_share_to_its_source_and_then_to_the_others() -> None:
    order = order_of(steps=60, sources={"books": 1, "web": 1}, languages={"en": 1, "zh": 1}, max_epochs={"books": 2})
    reads = read_of(rows_of(order))
    assert reads[:2] == [80, 20] and sum(reads) == 480
    assert np.bincount(rows_of(order)[rows_of(order) < 50]).max() == 2
    # zh of books ends first (20 at a share of a quarter), then all of books goes to its en, which ends at 80
    assert [phase.used_up for phase in order.phases] == [(), (1,), (0,)]
    assert order.phases[1].counts[0] == 2 * order.phases[0].counts[0]
    assert order.phases[1].counts[2] == order.phases[0].counts[2]
    assert order.phases[2].counts[2] == 2 * order.phases[0].counts[2]
    sentences = list(order.describe(lambda place: place // 8 + 1))
    assert "books (zh) 4.2% of the rows, 2.00 passes" in sentences[0]
    assert "max_epochs of books (zh) is reached in step" in sentences[1] and len(sentences) == 3


def test_weights_change_at_a_step() -> None:
    order = order_of(sources={"books": 0, "web": 1}, changes=[{"step": 50, "sources": {"books": 1, "web": 0}}])
    rows = rows_of(order)
    assert (rows[:400] >= 50).all() and (rows[400:] < 50).all()


def test_a_change_after_the_last_step_is_refused() -> None:
    with pytest.raises(UserError, match=r"step 100 never comes: the training has 100 steps"):
        order_of(steps=100, changes=[{"step": 100, "sources": {"web": 1}}])


def test_a_place_has_the_same_row_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of(sources={"books": 1, "*": 2}, max_epochs=3, changes=[{"step": 7, "temperature": 5}])
    rows = rows_of(order)
    for first in range(0, 800, 50):
        assert order.rows(np.arange(first, first + 50)).tolist() == rows[first : first + 50].tolist()
    monkeypatch.setattr(module, "WINDOW", 64)  # a window many times over
    module._sequence.cache_clear()
    try:
        small = order_of(sources={"books": 3, "web": 1})
        assert sum(read_of(rows_of(small))[:2]) == small.counts()[0]["read"] + small.counts()[1]["read"] == 600
    finally:
        module._sequence.cache_clear()


def test_the_order_is_pinned() -> None:
    # it decides which rows a published model saw: a change here is a new version of the stage
    rows = rows_of(order_of(steps=3, seed=17, sources={"books": 1, "web": 1}, temperature=2))
    assert rows.tolist() == PINNED


PINNED = [
    26, 185, 45, 257, 17, 126, 18, 62, 44, 261, 1, 55, 38, 124, 48, 264, 21, 111, 29, 200, 42, 296, 28, 151,
]  # fmt: skip


def test_fewer_rows_than_asked_for_are_refused() -> None:
    with pytest.raises(UserError, match=r"800 rows are asked for, and weights and max_epochs allow 600. Lower"):
        order_of(max_epochs=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sources": {"book": 1, "*": 1}}, "sources: there is no source 'book'; there are books, web"),
        ({"languages": {"en": 1, "fr": 1, "*": 1}}, "languages: there is no language 'fr'; there are en, zh"),
        ({"sources": {"books": 1}}, "sources: web has no weight. Write one"),
        ({"max_epochs": {"news": 2}}, "max_epochs: there is no source 'news'"),
        ({"changes": [{"step": 5, "sources": {"books": 1}}]}, r"changes\[0\].sources: web has no weight"),
    ],
)
def test_names_that_do_not_exist_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        order_of(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sources": {"a": 0}}, "every weight is 0"),
        ({"temperature": 0.5}, "greater than or equal to 1"),
        ({"changes": [{"step": 9}, {"step": 9}]}, "write them in order"),
        ({"max_epochs": 0}, "greater than 0"),
    ],
)
def test_options_without_a_meaning_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Mixture.model_validate(options)


def test_tokens_without_groups_are_refused() -> None:
    with pytest.raises(UserError, match=r"Write pack.by_source: true"):
        mixed_order(Mixture(), [], seed=1, steps=1, batch_rows=1)


@pytest.fixture
def mixed_job(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """A job whose 101 training rows are of two sources."""

    def make(name: str, **options: Any) -> Job:
        job = make_job(name, **{"mixture": {"sources": {"a": 1, "b": 3}}, **options})
        tokens = job.inputs.single("tokens")
        groups = groups_of({("a", "en"): 60, ("b", "zh"): 41})
        counts: Any = {"splits": {"train": {"languages": {}, "groups": groups}}}
        grouped = Artifact(tokens.place, replace(tokens.manifest, counts=counts))
        return replace(job, inputs=Inputs.of({"tokens": grouped, "tokenizer": job.inputs.single("tokenizer")}))

    return make


def test_workers_read_the_same_rows_and_trace_finds_them(mixed_job: Callable[..., Job]) -> None:
    single, two = mixed_job("one"), mixed_job("two", workers=2)
    outcomes = [run(single), run(two)]
    curves = [pq.read_table(job.folder / "curve.parquet").to_pydict() for job in (single, two)]
    assert curves[0]["rows"] == curves[1]["rows"]
    assert curves[1]["loss"] == pytest.approx(curves[0]["loss"], abs=5e-5)
    counts = outcomes[0].counts
    assert counts["mixture"] == [
        {"source": "a", "language": "en", "rows": 60, "read": 24},
        {"source": "b", "language": "zh", "rows": 41, "read": 72},
    ]
    manifest = Manifest("pretrain", 3, "f", "model", single.params, {}, tuple(outcomes[0].files), counts, "d", "c")
    order = training_order(Artifact(single.folder, manifest), single.inputs.single("tokens"))
    read = [row for step in range(order.steps) for row in order.rows_of(step)]
    assert sum(row < 60 for row in read) == 24 and len(read) == 96
