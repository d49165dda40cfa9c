"""dedupe: planted copies in two languages go, nothing else does, whatever the order and the number of workers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.job import Job, StageOutput
from pipeline.dedupe.groups import RECORD
from pipeline.dedupe.section import Dedupe
from pipeline.stages import dedupe, dedupe_pairs
from pipeline.stages.dedupe_pairs import partition_count, spill_bytes

MakeJob = Callable[..., Job]
MakeDocuments = Callable[..., Artifact]
Records = list[dict[str, Any]]

SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "sol", "ver", "an", "qui", "bo", "dra", "fen")


def english(draw: random.Random, words: int = 120) -> list[str]:
    return ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(words)]


def chinese(draw: random.Random, characters: int = 150) -> list[str]:
    return [chr(draw.randint(0x4E00, 0x5E00)) for _ in range(characters)]


def edited(draw: random.Random, units: list[str], make: Callable[..., list[str]], edits: int) -> list[str]:
    """One edit changes up to five shingles: e edits leave a Jaccard index of about (n − 5e) / (n + 5e)."""
    edited = list(units)
    for at in draw.sample(range(len(edited)), edits):
        edited[at] = make(draw, 1)[0] + "x" * (make is english)
    return edited


def planted() -> tuple[Records, dict[str, str], dict[str, str]]:
    """Documents of both languages; {copy: original} of equal and of near copies, by source_id."""
    draw, records, equal, near = random.Random(11), [], {}, {}

    def add(name: str, text: str, language: str) -> None:
        records.append({"source_id": name, "text": text, "language": language})

    for language, make, join in (("en", english, " "), ("zh", chinese, "")):
        for n in range(60):
            units, name = make(draw), f"{language}-{n}"
            add(name, join.join(units) + ".", language)
            if n % 4 == 1:
                respelled = join.join(units).upper() + (".\n\n" if n % 8 == 1 else " . "[1:])
                add(f"{name}-equal", respelled, language)
                equal[f"{name}-equal"] = name
            if n % 4 == 3:
                add(f"{name}-near", join.join(edited(draw, units, make, 1)) + "!", language)
                near[f"{name}-near"] = name
    draw.shuffle(records)
    return records, equal, near


@pytest.fixture
def deduped(make_job: MakeJob, publish: Callable[[Job, StageOutput], Artifact]) -> Callable[..., Artifact]:
    def run(documents: Artifact, name: str = "dedupe", workers: int = 1, **params: Any) -> Artifact:
        section, inputs = Dedupe(**params).model_dump(), {"documents": documents}
        job = make_job(name, stage="dedupe", inputs=inputs, params=section, workers=workers)
        return publish(job, dedupe.run(job))

    return run


def rows_of(artifact: Artifact, folder: str) -> Records:
    return [row for path in artifact.files(folder) for row in pq.read_table(path).to_pylist()]


def texts_that_stay(artifact: Artifact) -> list[str]:
    return sorted(row["text"] for row in rows_of(artifact, "parts/"))


def test_planted_copies_go_and_nothing_else(make_documents: MakeDocuments, deduped: Callable[..., Artifact]) -> None:
    records, equal, near = planted()
    artifact = deduped(make_documents(records, files=4))
    joined = {frozenset((row["source_id"], row["kept_source_id"])) for row in rows_of(artifact, "duplicates/")}
    assert joined == {frozenset(pair) for pair in (equal | near).items()}
    counts = artifact.manifest.counts
    assert counts["dropped"] == {"exact": 0, "normalized": len(equal), "minhash": len(near)}
    assert counts["in"] == len(records) == counts["out"] + len(joined)


def test_duplicates_name_the_copy_that_stays_and_their_true_index(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    records, equal, _ = planted()
    artifact = deduped(make_documents(records, files=3))
    stays = {row["id"]: row["source_id"] for row in rows_of(artifact, "parts/")}
    for row in rows_of(artifact, "duplicates/"):
        assert stays[row["kept_id"]] == row["kept_source_id"]
        assert row["id"] not in stays
        is_equal = {row["source_id"], row["kept_source_id"]} in [set(pair) for pair in equal.items()]
        assert row["method"] == ("normalized" if is_equal else "minhash")
        assert row["similarity"] == 1.0 if is_equal else 0.7 <= row["similarity"] < 1.0


def test_the_similarity_is_that_of_the_sets(make_documents: MakeDocuments, deduped: Callable[..., Artifact]) -> None:
    draw = random.Random(5)
    units = english(draw, 104)
    other = [*units[:100], "these", "four", "words", "differ"]
    artifact = deduped(make_documents([{"text": " ".join(units)}, {"text": " ".join(other)}]))
    ((row),) = rows_of(artifact, "duplicates/")
    assert row["similarity"] == pytest.approx(96 / 104)


def test_the_texts_that_stay_do_not_depend_on_the_order_of_documents(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    records, _, _ = planted()
    survivors = []
    for n, order in enumerate((records, records[::-1], random.Random(2).sample(records, len(records)))):
        survivors.append(
            texts_that_stay(deduped(make_documents(order, files=1 + n, name=f"documents-{n}"), f"dedupe-{n}"))
        )
    assert survivors[0] == survivors[1] == survivors[2]


def test_two_workers_write_the_bytes_of_one(make_documents: MakeDocuments, deduped: Callable[..., Artifact]) -> None:
    documents = make_documents(planted()[0], files=4)
    by_one_worker, by_two_workers = deduped(documents, "one", workers=1), deduped(documents, "two", workers=2)
    assert by_one_worker.manifest.digest == by_two_workers.manifest.digest
    assert [file.path for file in by_one_worker.manifest.files] == [file.path for file in by_two_workers.manifest.files]


def test_documents_that_stay_keep_their_order_and_columns(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    documents = make_documents(planted()[0], files=3)
    artifact = deduped(documents)
    stays = rows_of(artifact, "parts/")
    ids = {row["id"] for row in stays}
    assert stays == [row for row in rows_of(documents, "parts/") if row["id"] in ids]


def test_deduping_twice_changes_nothing(make_documents: MakeDocuments, deduped: Callable[..., Artifact]) -> None:
    first = deduped(make_documents(planted()[0], files=2))
    second = deduped(first, "second")
    assert rows_of(second, "parts/") == rows_of(first, "parts/")
    assert second.manifest.counts["dropped"] == {"exact": 0, "normalized": 0, "minhash": 0}


def test_more_files_than_file_ranges_give_the_same_bytes(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = make_documents(planted()[0], files=9)
    by_file = deduped(documents, "by-file")
    monkeypatch.setattr("pipeline.dedupe.corpus.MAX_FILE_RANGES", 4)
    by_range = deduped(documents, "by-range", workers=2)
    assert by_range.manifest.digest == by_file.manifest.digest
    assert len(by_range.files("parts/")) == 9


def test_partitions_and_segments_stay_few_and_large_at_ten_terabytes() -> None:
    """The number of segments that are read is spills × partitions: it must not grow with the square of the corpus."""
    documents, bands = 2_500_000_000, 14
    keys = documents * bands * RECORD.itemsize
    partitions = partition_count(documents, bands)
    assert partitions == 4096 < 1 << 16  # partitions are numbered in 16 bits
    assert keys / partitions < 256 << 20  # what a worker sorts
    spills = keys / spill_bytes(partitions)
    assert spills * 2 * partitions < 100_000_000
    assert partition_count(100_000, bands) == 8 and spill_bytes(8) == 8 << 20


def test_spills_of_many_segments_give_the_same_bytes(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = make_documents(planted()[0])
    one = deduped(documents, "one")
    for name, value in (("PARTITION_BYTES", 4096), ("MOST_PARTITIONS", 8), ("SEGMENT_BYTES", 256)):
        monkeypatch.setattr(dedupe_pairs, name, value)
    assert deduped(documents, "many").manifest.digest == one.manifest.digest


def test_a_document_of_an_earlier_artifact_stays_even_when_it_holds_less(
    make_documents: MakeDocuments, make_job: MakeJob
) -> None:
    units = english(random.Random(3), 100)
    earlier = make_documents([{"text": " ".join(units)}], name="earlier")
    later = make_documents([{"text": " ".join([*units, "more"])}, {"text": "铁块已经炼好了。"}], name="later")
    inputs = {"documents": [earlier, later]}
    outcome = dedupe.run(job := make_job(stage="dedupe", inputs=inputs, params=Dedupe().model_dump()))
    stays = [row["text"] for file in outcome.files if file.path.startswith("parts/")
             for row in pq.read_table(job.folder / file.path).to_pylist()]  # fmt: skip
    assert sorted(stays) == sorted([" ".join(units), "铁块已经炼好了。"])


def hot() -> Iterator[dict[str, Any]]:
    """Two notices on a thousand pages, some edited, some equal; and pages that share a long notice and little else."""
    draw = random.Random(8)
    notices = {"en": (english(draw), english, " "), "zh": (chinese(draw), chinese, "")}
    for language, (notice, make, join) in notices.items():
        for n in range(500):
            units = notice if n % 3 else edited(draw, notice, make, 1)
            yield {"source_id": f"{language}-notice-{n}", "text": join.join(units)}
        for n in range(250):
            yield {"source_id": f"{language}-page-{n}", "text": join.join([*notice, *make(draw, len(notice))])}


def test_a_hot_key_leaves_one_copy_and_the_pages_that_only_share_it(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    artifact = deduped(make_documents(list(hot()), files=4), workers=2)
    stays = [row["source_id"].rsplit("-", 1)[0] for row in rows_of(artifact, "parts/")]
    assert {name: stays.count(name) for name in set(stays)} == {
        "en-notice": 1, "zh-notice": 1, "en-page": 250, "zh-page": 250,
    }  # fmt: skip


def test_normalized_alone_takes_texts_that_differ_in_spelling_alone(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    records, equal, _ = planted()
    artifact = deduped(make_documents(records, files=2), method="normalized")
    assert {row["source_id"] for row in rows_of(artifact, "duplicates/")} | set(equal.values()) >= set(equal)
    assert artifact.manifest.counts["dropped"] == {"exact": 0, "normalized": len(equal)}


@pytest.mark.parametrize(
    "texts",
    [
        ["if x:\n    y\nz", "if x:\n    y\n    z", "IF X:\n    Y\nZ"],
        ["the area is 5 m² of 10⁵", "the area is 5 m2 of 105", "the area is 5 m² of 10⁵ "],
        ["矿石，很热", "矿石,很热", "矿石\u3000，很热"],
        ["caf\u00e9", "cafe\u0301"],
    ],
    ids=["code", "powers", "full width", "composed"],
)
def test_exact_keeps_texts_that_differ_in_one_byte(
    texts: list[str], make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    artifact = deduped(make_documents([{"text": text} for text in texts], files=2), method="exact")
    assert texts_that_stay(artifact) == sorted(texts)
    assert artifact.manifest.counts["dropped"] == {"exact": 0}


@pytest.mark.parametrize("method", ["exact", "normalized", "minhash"])
def test_every_method_calls_a_text_exact_just_where_it_is_identical(
    method: str, make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    texts = ["The ore is hot today, m²", "铁块已经炼好了。"] * 3 + ["the ore is hot  today, m2"]
    artifact = deduped(make_documents([{"text": text} for text in texts], files=3), method=method)
    stays = {row["id"]: row["text"] for row in rows_of(artifact, "parts/")}
    by_id = {f"made-{at}": text for at, text in enumerate(texts)}
    rows = rows_of(artifact, "duplicates/")
    assert len(rows) == (4 if method == "exact" else 5)
    for row in rows:
        identical = by_id[row["source_id"]] == stays[row["kept_id"]]
        assert row["method"] == ("exact" if identical else "normalized")
        assert row["similarity"] == 1.0


def test_short_and_wordless_texts_go_only_for_equal_ones(
    make_documents: MakeDocuments, deduped: Callable[..., Artifact]
) -> None:
    texts = ["好的", "好 的", "OK", "ok ", "Yes, sir", "yes sir!", "……", "…… ", "😀😀", "😀", "!?"]
    texts += ["one two three four five six", "one two three four five seven"]
    artifact = deduped(make_documents([{"text": text} for text in texts], files=2))
    gone = {row["method"]: 0 for row in rows_of(artifact, "duplicates/")}
    stays = texts_that_stay(artifact)
    assert len([text for text in stays if text in ("OK", "ok ")]) == 1
    assert len([text for text in stays if text in ("……", "…… ")]) == 1
    assert {"😀😀", "😀", "!?", "one two three four five six", "one two three four five seven"} <= set(stays)
    assert gone.keys() == {"normalized", "minhash"}


@pytest.mark.parametrize("text", ["The bloom of iron is ready.", "铁块已经炼好了。"])
def test_one_document_stays(text: str, make_documents: MakeDocuments, deduped: Callable[..., Artifact]) -> None:
    artifact = deduped(make_documents([{"text": text}]))
    assert texts_that_stay(artifact) == [text]
    assert artifact.files("duplicates/") == []


def test_no_documents_give_no_files(make_documents: MakeDocuments, deduped: Callable[..., Artifact]) -> None:
    artifact = deduped(make_documents([]))
    assert artifact.manifest.files == ()
    assert artifact.manifest.counts["in"] == artifact.manifest.counts["out"] == 0


def test_a_resumed_stage_goes_on_from_its_finished_steps(
    make_documents: MakeDocuments, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"documents": make_documents(planted()[0], files=3)}
    job = make_job(stage="dedupe", inputs=inputs, params=Dedupe().model_dump())
    first = dedupe.run(job)
    for step in ("verify", "survivors", "name", "write"):
        for path in sorted((job.folder / "tasks" / step).iterdir())[1:]:
            path.unlink()
    for work in ("find_keys", "match", "store_sets"):
        monkeypatch.setattr(dedupe, work, None)
    again = dedupe.run(job)
    assert (again.files, again.counts) == (first.files, first.counts)
