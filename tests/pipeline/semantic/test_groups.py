"""Clusters are divided into groups that may be compared pair by pair, whatever their size and wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.kernels.vectors import to_unit
from pipeline.semantic import groups
from pipeline.semantic.groups import Divider
from pipeline.semantic.kmeans import assign, find_centroids
from pipeline.semantic.records import Members, member_type


def members_of(matrix: np.ndarray) -> Members:
    unit, _ = to_unit(matrix)
    members = np.zeros(len(unit), member_type(unit.shape[1]))
    members["document"], members["length"], members["vector"] = np.arange(len(unit)), 10, unit
    return members


@pytest.fixture
def members() -> Members:
    """600 documents in 30 bundles."""
    draw = np.random.default_rng(7)
    return members_of(draw.normal(size=(30, 16))[np.arange(600) % 30] + 0.05 * draw.normal(size=(600, 16)))


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_COMPARED", 100)


def pieces(members: Members) -> Iterator[Members]:
    return (members[at : at + 70] for at in range(0, len(members), 70))


@pytest.mark.parametrize("memory_bytes", [1 << 30, 5_000])
def test_every_document_is_in_one_group_beside_its_bundle(members: Members, memory_bytes: int, tmp_path: Path) -> None:
    divider = Divider(64, 17, tmp_path, memory_bytes=memory_bytes)
    divided = list(divider.groups(lambda: pieces(members), len(members)))
    assert sorted(np.concatenate([group["document"] for group in divided]).tolist()) == list(range(600))
    assert max(map(len, divided)) <= 100
    bundles = [set((group["document"] % 30).tolist()) for group in divided]
    assert sum(map(len, bundles)) <= 36, "nearly every bundle is in one group"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("memory_bytes", [1 << 30, 5_000])
def test_equal_vectors_are_cut_into_groups(memory_bytes: int, tmp_path: Path) -> None:
    members = members_of(np.ones((350, 8)))
    divided = list(Divider(64, 17, tmp_path, memory_bytes=memory_bytes).groups(lambda: pieces(members), 350))
    assert [len(group) for group in divided] == [100, 100, 100, 50]


def test_an_empty_cluster_has_no_group(tmp_path: Path) -> None:
    assert list(Divider(64, 17, tmp_path).groups(lambda: iter(()), 0)) == []


def test_centroids_stand_in_the_middle_of_their_vectors(members: Members) -> None:
    centroids = find_centroids(members["vector"], 30)
    labels, products = assign(members["vector"], centroids)
    assert len(centroids) == 30
    # Lloyd's algorithm may leave two bundles with one centroid, not half of them
    assert len({(label, bundle) for label, bundle in zip(labels, np.arange(600) % 30, strict=True)}) <= 45
    assert np.median(products) / (1 << 28) > 0.95
    assert np.array_equal(centroids, find_centroids(members["vector"].copy(), 30))


def test_there_are_no_more_centroids_than_different_vectors() -> None:
    assert len(find_centroids(members_of(np.eye(3)[[0, 1, 0, 2, 2]])["vector"], 30)) == 3
    assert len(find_centroids(np.empty((0, 8), np.int16), 4)) == 0
