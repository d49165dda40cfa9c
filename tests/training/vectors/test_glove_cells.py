"""Cells on disk: each once, with its logarithm and weight, in a grid whose blocks side by side share no row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.core.shards import ShardWriter
from training.vectors.glove_cells import Grid, GridLayout, groups, open_cells

VOCABULARY = 60


@pytest.fixture
def table(tmp_path: Path) -> tuple[list[Path], pa.Table]:
    """900 cells in two files, in order of word and context; tokens 0 to 2 have none."""
    draw = np.random.default_rng(5)
    pairs = np.sort(draw.choice((VOCABULARY - 3) ** 2, 900, replace=False))
    columns = {"word": 3 + pairs // (VOCABULARY - 3), "context": 3 + pairs % (VOCABULARY - 3)}
    schema = pa.schema([("word", pa.int32()), ("context", pa.int32()), ("count", pa.float64())])
    whole = pa.table({**columns, "count": draw.uniform(0.1, 300, 900)}).cast(schema)
    files = []
    for name, part in (("a", whole.slice(0, 500)), ("b", whole.slice(500))):
        with ShardWriter(tmp_path, "parts", name, schema) as shard:
            shard.write(part.slice(0, 123))
            shard.write(part.slice(123))
        assert shard.entry is not None
        files.append(tmp_path / shard.entry.path)
    return files, whole


def opened(files: list[Path], scratch: Path, **options: float) -> Grid:
    shape = GridLayout(**{"blocks": 4, "parts": 3, "x_max": 100.0, "alpha": 0.75, **options})  # type: ignore[arg-type]
    return open_cells(files, shape, vocabulary=VOCABULARY, name="digest", scratch=scratch)


def test_every_cell_is_in_one_part_of_the_block_of_its_groups(
    table: tuple[list[Path], pa.Table], tmp_path: Path
) -> None:
    files, whole = table
    grid = opened(files, tmp_path)
    cells = []
    for number in range(4 * 4 * 3):
        bounds = [grid.bounds[group : group + 2] for group in grid.groups(number)]
        for word, context, log, weight in grid.part(number).tolist():
            assert bounds[0][0] <= word < bounds[0][1] and bounds[1][0] <= context < bounds[1][1]
            cells.append((int(grid.tokens[word]), int(grid.tokens[context]), log, weight))
    cells.sort()
    expected = whole.to_pylist()
    assert [cell[:2] for cell in cells] == [(cell["word"], cell["context"]) for cell in expected]
    counts = np.array([cell["count"] for cell in expected])
    assert [cell[2] for cell in cells] == pytest.approx(np.log(counts), rel=1e-6)
    assert [cell[3] for cell in cells] == pytest.approx(np.minimum(1, (counts / 100) ** 0.75), rel=1e-6)


def test_groups_weigh_alike_and_hold_every_token_that_occurs() -> None:
    occurs = np.array([0, 0, 0, *(1000 // rank for rank in range(1, 98))])
    tokens, bounds = groups(occurs, 8)
    assert sorted(tokens.tolist()) == list(range(3, 100))
    weights = [int(occurs[tokens[first:last]].sum()) for first, last in zip(bounds[:-1], bounds[1:], strict=True)]
    assert max(weights[1:]) < 2 * min(weights)  # the first holds a word that alone weighs more
    assert groups(np.array([0, 5]), 4)[1].tolist() == [0, 1, 1, 1, 1]


def test_cells_are_laid_down_once_and_again_when_something_else_is_asked(
    table: tuple[list[Path], pa.Table], tmp_path: Path
) -> None:
    files, _ = table
    first = np.array(opened(files, tmp_path).cells)
    for path in files:
        path.rename(path.with_suffix(".gone"))
    assert (opened(files, tmp_path).cells == first).all()
    with pytest.raises(FileNotFoundError):
        opened(files, tmp_path, x_max=10.0)


def test_parts_of_a_block_are_drawn_from_all_of_it(table: tuple[list[Path], pa.Table], tmp_path: Path) -> None:
    grid = opened(table[0], tmp_path, blocks=1, parts=3)
    sizes = np.diff(grid.edges)
    assert sizes.sum() == 900 and sizes.min() > 230
    for number in range(3):
        assert len(np.unique(grid.part(number)["word"])) > 50
