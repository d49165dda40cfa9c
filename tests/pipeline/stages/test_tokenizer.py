"""tokenizer: a bounded sample selected by id, languages in proportion, and the same bytes in every process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.job import Job, StageOutput
from pipeline.stages import tokenizer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load
from pipeline.tokenizers.section import Tokenizer, tokenizer_files, tokenizer_params

MakeJob = Callable[..., Job]
MakeDocuments = Callable[..., Artifact]

ENGLISH = "Charcoal and ore go in at the top, air is blown in below, and bloom number {} is hammered out. "
CHINESE = "木炭和矿石从顶部加入，空气从下方吹入，锻打第{}块铁。"
RUSSIAN = "Печь номер {} плавит руду."


def records(english: int = 60, chinese: int = 60, russian: int = 1) -> list[dict[str, Any]]:
    kinds = ((ENGLISH, "en", english), (CHINESE, "zh", chinese), (RUSSIAN, "ru", russian))
    return [{"text": text.format(n) * 4, "language": name} for text, name, count in kinds for n in range(count)]


@pytest.fixture
def trained(make_job: MakeJob, publish: Callable[[Job, StageOutput], Artifact]) -> Callable[..., Artifact]:
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
    reference = load(artifact.file("tokenizer.json"))
    assert reference.end_of_text == 0
    assert reference.vocabulary <= 400
    for text in ("the bloom is hammered out", "从顶部加入铁块", "日本語、한국어 😀", "\0 tab\there"):
        assert reference.decode(reference.encode_text(text)) == text


def test_bytes_per_token_are_told_by_language(make_documents: MakeDocuments, trained: Callable[..., Artifact]) -> None:
    artifact = trained(make_documents(records()))
    stats = read_json(artifact.file("stats.json"))
    assert stats["bytes_per_token"]["en"] > 2
    assert stats["bytes_per_token"]["zh"] > 2
    assert set(stats["languages"]) == {"en", "ru", "zh"}
    assert artifact.manifest.counts["in"] == 121


def test_the_sample_is_bounded_and_holds_every_language(
    make_documents: MakeDocuments, trained: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "LEAST_BYTES", 64)
    artifact = trained(make_documents(records(), files=3), sample_bytes=9_000)
    stats = read_json(artifact.file("stats.json"))
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
    reversed_documents = make_documents(rows[::-1], files=4, name="other")
    one_worker = trained(first, "one", workers=1, sample_bytes=12_000)
    two_workers = trained(reversed_documents, "two", workers=2, sample_bytes=12_000)
    assert one_worker.manifest.digest == two_workers.manifest.digest


def test_a_document_larger_than_the_sample_is_cut(
    make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    artifact = trained(make_documents([{"text": CHINESE * 3_000, "language": "zh"}]), sample_bytes=10_000)
    assert read_json(artifact.file("stats.json"))["sample"]["bytes"] in range(9_990, 10_001)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_one_document_is_enough(text: str, make_documents: MakeDocuments, trained: Callable[..., Artifact]) -> None:
    artifact = trained(make_documents([{"text": text}]))
    stats = read_json(artifact.file("stats.json"))
    assert list(stats["languages"]) == ["unknown"]
    reference = ReferenceEncoder((artifact.file("tokenizer.json")).read_text(encoding="utf-8"))
    assert reference.decode(reference.encode_text(text)) == text


def test_no_documents_is_an_error_that_says_so(make_documents: MakeDocuments, trained: Callable[..., Artifact]) -> None:
    with pytest.raises(StageFailed, match="no document came in"):
        trained(make_documents([]))


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_other_kinds_do_not_depend_on_files_order_or_workers(
    kind: str, make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    digests = set()
    for files, workers in ((1, 1), (4, 2)):
        documents = make_documents(records(), files=files, name=f"documents-{files}")
        artifact = trained(documents, f"tokenizer-{files}", workers, kind=kind, sample_bytes=20_000)
        digests.add(artifact.manifest.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_what_is_unknown_is_told_by_language(
    kind: str, make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    stats = read_json(trained(make_documents(records(russian=3)), kind=kind, vocabulary=20).file("stats.json"))
    for figures in (stats["sample"], *stats["languages"].values()):
        assert figures["unknown_share"] == pytest.approx(figures["unknown"] / figures["tokens"], abs=1e-6)
    assert stats["sample"]["unknown"] == sum(language["unknown"] for language in stats["languages"].values())
    assert stats["languages"]["ru"]["unknown_share"] > stats["languages"]["en"]["unknown_share"]
    assert stats["vocabulary"] == 20


def test_words_are_counted_over_all_of_a_small_corpus(
    make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    artifact = trained(make_documents(records(), files=3), kind="word", min_count=240)
    words = list(read_json(artifact.file("tokenizer.json"))["model"]["vocab"])
    assert words[3:5] == ["and", "in"] and {"和", "铁"} & set(words)
    assert "печь" not in words


def test_a_file_is_taken_to_the_byte_and_refused_when_it_has_changed(
    tmp_path: Path, make_documents: MakeDocuments, make_job: MakeJob
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(BytePair().train([ENGLISH, CHINESE], 300), encoding="utf-8")
    section = Tokenizer(kind="file", path=str(folder))
    job = make_job(
        stage="tokenizer", kind="tokenizer", inputs={"documents": make_documents(records())},
        params=tokenizer_params(section, 17), sources=tokenizer_files(section),
    )  # fmt: skip
    tokenizer.run(job)
    assert (job.folder / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert read_json(job.folder / "stats.json")["vocabulary"] == 300
    (folder / "tokenizer.json").write_text(BytePair().train([ENGLISH], 290), encoding="utf-8")
    with pytest.raises(StageFailed, match="has changed since this run began"):
        tokenizer.run(job)


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
@pytest.mark.parametrize("text", ["", "！？…", CHINESE])
def test_a_document_of_few_words_is_enough(
    kind: str, text: str, make_documents: MakeDocuments, trained: Callable[..., Artifact]
) -> None:
    artifact = trained(make_documents([{"text": text, "language": "zh"}]), kind=kind)
    assert load(artifact.file("tokenizer.json")).end_of_text == 0
