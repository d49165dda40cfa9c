"""tokenizer: a sample of bounded size, drawn by id, languages in proportion; the same bytes from any process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.stage import Job, Outcome
from pipeline.stages import tokenizer
from pipeline.tokenizers.subword import Reference, load

MakeJob = Callable[..., Job]
MakeDocuments = Callable[..., Artifact]

ENGLISH = "Charcoal and ore go in at the top, air is blown in below, and bloom number {} is hammered out. "
CHINESE = "木炭和矿石从顶部加入，空气从下方吹入，锻打第{}块铁。"
RUSSIAN = "Печь номер {} плавит руду."


def records(english: int = 60, chinese: int = 60, russian: int = 1) -> list[dict[str, Any]]:
    kinds = ((ENGLISH, "en", english), (CHINESE, "zh", chinese), (RUSSIAN, "ru", russian))
    return [{"text": text.format(n) * 4, "language": name} for text, name, count in kinds for n in range(count)]


@pytest.fixture
def trained(make_job: MakeJob, publish: Callable[[Job, Outcome], Artifact]) -> Callable[..., Artifact]:
    def run(documents: Artifact, name: str = "tokenizer", workers: int = 1, **params: Any) -> Artifact:
        params = {"vocabulary": 400, **params}
        inputs = {"documents": documents}
        job = make_job(name, stage="tokenizer", kind="tokenizer", inputs=inputs, params=params, workers=workers)
        return publish(job, tokenizer.run(job))

    return run


def test_it_spells_every_language_and_text_it_never_saw(
    make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    artifact = trained(make_documents(records(), files=2))
    reference = load(artifact.path / "tokenizer.json")
    assert reference.end_of_text == 0
    assert reference.vocabulary <= 400
    for text in ("the bloom is hammered out", "从顶部加入铁块", "日本語、한국어 😀", "\0 tab\there"):
        assert reference.decode(reference.encode_text(text)) == text


def test_bytes_per_token_are_told_by_language(make_documents: MakeDocuments, trained: Callable[..., Artifact]) -> None:
    artifact = trained(make_documents(records()))
    stats = read_json(artifact.path / "stats.json")
    assert stats["bytes_per_token"]["en"] > 2
    assert stats["bytes_per_token"]["zh"] > 2
    assert set(stats["languages"]) == {"en", "ru", "zh"}
    assert artifact.manifest.counts["in"] == 121


def test_the_sample_is_bounded_and_holds_every_language(
    make_documents: MakeDocuments, trained: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "LEAST_BYTES", 64)
    artifact = trained(make_documents(records(), files=3), sample_bytes=9_000)
    stats = read_json(artifact.path / "stats.json")
    assert stats["sample"]["bytes"] <= 9_000 + 64
    assert stats["sample"]["bytes"] > 6_000
    assert stats["languages"]["ru"]["documents"] == 1
    english, chinese = stats["languages"]["en"], stats["languages"]["zh"]
    share = english["corpus"]["bytes"] / chinese["corpus"]["bytes"]
    assert english["bytes"] / chinese["bytes"] == pytest.approx(share, rel=0.1)


def test_the_bytes_do_not_depend_on_files_order_or_workers(
    make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    import pyarrow.parquet as pq

    first = make_documents(records(), name="first")
    rows = [row for path in first.files("parts/") for row in pq.read_table(path).to_pylist()]
    other = make_documents(rows[::-1], files=4, name="other")
    one = trained(first, "one", workers=1, sample_bytes=12_000)
    two = trained(other, "two", workers=2, sample_bytes=12_000)
    assert one.manifest.digest == two.manifest.digest


def test_a_document_larger_than_the_sample_is_cut(
    make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    artifact = trained(make_documents([{"text": CHINESE * 3_000, "language": "zh"}]), sample_bytes=10_000)
    assert read_json(artifact.path / "stats.json")["sample"]["bytes"] in range(9_990, 10_001)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_one_document_is_enough(text: str, make_documents: MakeDocuments, trained: Callable[..., Artifact]) -> None:
    artifact = trained(make_documents([{"text": text}]))
    stats = read_json(artifact.path / "stats.json")
    assert list(stats["languages"]) == ["unknown"]
    reference = Reference((artifact.path / "tokenizer.json").read_text(encoding="utf-8"))
    assert reference.decode(reference.encode_text(text)) == text


def test_no_documents_is_an_error_that_says_so(make_documents: MakeDocuments, trained: Callable[..., Artifact]) -> None:
    with pytest.raises(StageFailed, match="no document came in"):
        trained(make_documents([]))
