"""Rows of one source and one language each, and best-fit packing: nothing lost, few documents cut, the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.files import read_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.records import tokens_schema
from pipeline.stages import pack, pack_rows
from pipeline.tokenizers.best_fit_rows import BestFitRows
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.packed_rows import TokenSpan
from pipeline.tokenizers.section import Pack

LENGTH = 32
TEXTS = {"en": "The furnace turns raw ore into a bloom of iron, number {}. ", "zh": "第{}座炉子把矿石炼成铁块。"}
Packed = Callable[..., Artifact]


def records() -> list[dict[str, Any]]:
    """Two sources, three languages (one unknown), in turn."""
    return [
        {
            "text": TEXTS["zh" if at % 3 == 1 else "en"].format(at) * (1 + at % 4),
            "language": ("en", "zh", None)[at % 3], "source": ("web", "books")[at // 2 % 2],
        }
        for at in range(90)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "tokenizer.json").write_text(
        BytePair().train([record["text"] for record in records()], 400), encoding="utf-8"
    )
    return Artifact(folder, None)  # type: ignore[arg-type]


@pytest.fixture
def documents(make_documents: Callable[..., Artifact]) -> Artifact:
    return make_documents(records(), files=3)


@pytest.fixture
def packed(
    make_job: Callable[..., Job], publish: Callable[[Job, StageOutput], Artifact], tokenizer: Artifact,
    documents: Artifact,
) -> Packed:  # fmt: skip
    def run(name: str, workers: int = 1, **params: Any) -> Artifact:
        job = make_job(
            name, stage="pack", kind="tokens", inputs={"documents": documents, "tokenizer": tokenizer},
            params={"length": LENGTH, "validation": 0.1, **params}, workers=workers,
        )  # fmt: skip
        return publish(job, pack.run(job))

    return run


def rows_of(artifact: Artifact, split: str) -> list[dict[str, Any]]:
    return [row for path in artifact.files(f"{split}/") for row in pq.read_table(path).to_pylist()]


def tokens_of(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    tokens: dict[str, list[int]] = {}
    for row in rows:
        for span in row["documents"]:
            tokens.setdefault(span["id"], []).extend(row["tokens"][span["start"] : span["end"]])
    return tokens


def test_the_options_of_before_keep_their_fingerprint() -> None:
    assert Pack().model_dump() == {"length": 1024, "validation": 0.005}
    assert Pack(packing="best_fit").model_dump()["packing"] == "best_fit"


@pytest.mark.parametrize("params", [{"by_source": True}, {"packing": "best_fit"}], ids=["concat", "best fit"])
def test_no_row_has_two_sources_or_languages_and_no_token_is_lost(
    packed: Packed, documents: Artifact, params: dict[str, Any]
) -> None:
    names = {row["id"]: row for path in documents.files("parts/") for row in pq.read_table(path).to_pylist()}
    plain, grouped = packed("plain"), packed("grouped", **params)
    for split in ("train", "validation"):
        rows = rows_of(grouped, split)
        # by best fit, the rest of a long document may lie in a row before its other rows
        of_plain, of_grouped = ({name: sorted(ids) for name, ids in tokens_of(of).items()}
                                for of in (rows_of(plain, split), rows))  # fmt: skip
        assert of_grouped == of_plain, "the same documents in either split, whole"
        of_rows = []
        for row in rows:
            documents = [names[span["id"]] for span in row["documents"]]
            (group,) = {(document["source"], document["language"] or "unknown") for document in documents}
            of_rows.append(group)
            assert row["documents"][0]["start"] == 0 and row["documents"][-1]["end"] == len(row["tokens"]) <= LENGTH
        counts = read_json(grouped.file("splits.json"))[split]
        expected = [(group["source"], group["language"]) for group in counts["groups"] for _ in range(group["rows"])]
        assert of_rows == expected and of_rows == sorted(of_rows), "groups lie one after the other"
        assert counts["rows"] == len(rows)
        assert sum(group["tokens"] for group in counts["groups"]) == counts["tokens"]


def test_best_fit_cuts_only_documents_longer_than_a_row(packed: Packed) -> None:
    plain, best = packed("plain", by_source=True), packed("best", packing="best_fit")
    sizes = {name: len(tokens) for name, tokens in tokens_of(rows_of(best, "train")).items()}

    def cut(artifact: Artifact) -> set[str]:
        seen: dict[str, int] = {}
        for row in rows_of(artifact, "train"):
            for span in row["documents"]:
                seen[span["id"]] = seen.get(span["id"], 0) + 1
        return {name for name, times in seen.items() if times > 1}

    assert cut(best) == {name for name, size in sizes.items() if size > LENGTH}
    assert len(cut(best)) < len(cut(plain))
    counts = read_json(best.file("splits.json"))
    assert counts["train"]["truncated"] == len(cut(best)) and "truncated" not in counts["validation"]
    assert rows_of(best, "validation") == rows_of(plain, "validation"), "held-out rows do not depend on the packing"


@pytest.mark.parametrize("params", [{"by_source": True}, {"packing": "best_fit"}], ids=["concat", "best fit"])
def test_two_workers_and_small_shards_write_the_same_rows(
    packed: Packed, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = packed("one", **params), packed("two", workers=2, **params)
    assert one.manifest.digest == two.manifest.digest
    monkeypatch.setattr(pack_rows, "SHARD_TOKENS", 4 * LENGTH + 5)
    monkeypatch.setattr(pack_rows, "WRITE_TOKENS", 2 * LENGTH)
    small = packed("small", **params)
    assert len(small.files("train/")) > len(one.files("train/"))
    assert tokens_of(rows_of(small, "train")).keys() == tokens_of(rows_of(one, "train")).keys()
    assert rows_of(small, "validation") == rows_of(one, "validation")
    if "by_source" in params:
        assert rows_of(small, "train") == rows_of(one, "train")


def test_rows_are_fuller_than_documents_alone_and_long_ones_go_on_in_order() -> None:
    sizes = [70, 5, 27, 32, 3, 1, 29]
    span = TokenSpan(
        np.arange(sum(sizes), dtype=np.uint16), pa.array([str(at) for at in range(len(sizes))]),
        np.cumsum(sizes) - sizes,
    )  # fmt: skip
    rows = BestFitRows(span, LENGTH)
    (table,) = rows.tables(100, tokens_schema(400))
    assert rows.truncated == 1 and len(rows) == 6
    assert [[span["id"] for span in row["documents"]] for row in table.to_pylist()] == [
        ["0"], ["0"], ["0", "5"], ["1", "2"], ["3"], ["4", "6"],
    ]  # fmt: skip
    assert table["tokens"].to_pylist()[2] == [*range(64, 70), sum(sizes[:5])]
