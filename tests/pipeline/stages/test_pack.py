"""pack: every token of every document occurs once, in order, in rows with document spans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json
from pipeline.core.job import Job, StageOutput
from pipeline.stages import pack, pack_rows
from pipeline.tokenizers.base import TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.packer import Packer
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load
from pipeline.tokenizers.word_level import WordLevel
from pipeline.tokenizers.wordpiece import WordPiece

MakeJob = Callable[..., Job]
MakeDocuments = Callable[..., Artifact]
Publish = Callable[[Job, StageOutput], Artifact]

ENGLISH = "The furnace turns raw ore into a bloom of iron, number {}; it is hammered while it is hot. "
CHINESE = "第{}座炉子把矿石炼成铁块，趁热锻打。"
LENGTH = 32


def records(english: int = 60, chinese: int = 30) -> list[dict[str, Any]]:
    rows = [{"text": ENGLISH.format(n) * (1 + n % 7), "language": "en"} for n in range(english)]
    rows += [{"text": CHINESE.format(n) * (1 + n % 5), "language": "zh"} for n in range(chinese)]
    return rows


@pytest.fixture
def tokenizer(tmp_path: Path) -> Artifact:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    text = BytePair().train([record["text"] for record in records()], 400)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    return Artifact(folder, None)  # type: ignore[arg-type]


@pytest.fixture
def packed(make_job: MakeJob, publish: Publish, tokenizer: Artifact) -> Callable[..., Artifact]:
    def run(documents: Artifact, name: str = "pack", workers: int = 1, **params: Any) -> Artifact:
        inputs = {"documents": documents, "tokenizer": tokenizer}
        params = {"length": LENGTH, "validation": 0.1, **params}
        job = make_job(name, stage="pack", kind="tokens", inputs=inputs, params=params, workers=workers)
        return publish(job, pack.run(job))

    return run


def rows_of(artifact: Artifact, split: str) -> list[dict[str, Any]]:
    return [row for path in artifact.files(f"{split}/") for row in pq.read_table(path).to_pylist()]


def tokens_by_document(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    tokens: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        for span in row["documents"]:
            tokens[span["id"]] += row["tokens"][span["start"] : span["end"]]
    return dict(tokens)


def documents_of(artifact: Artifact) -> list[dict[str, Any]]:
    return [row for path in artifact.files("parts/") for row in pq.read_table(path).to_pylist()]


def test_spans_give_every_document_back_with_its_end_of_text(
    make_documents: MakeDocuments, packed: Callable[..., Artifact], tokenizer: Artifact
) -> None:
    documents = make_documents(records(), files=3)
    artifact = packed(documents)
    reference = ReferenceEncoder((tokenizer.file("tokenizer.json")).read_text(encoding="utf-8"))
    expected = {row["id"]: [*reference.encode_text(row["text"]), 0] for row in documents_of(documents)}
    train, validation = (tokens_by_document(rows_of(artifact, split)) for split in ("train", "validation"))
    assert train | validation == expected
    assert not train.keys() & validation.keys()


def test_rows_are_disjoint_full_and_in_document_order(
    make_documents: MakeDocuments, packed: Callable[..., Artifact]
) -> None:
    documents = make_documents(records(), files=3)
    artifact = packed(documents)
    order = {row["id"]: at for at, row in enumerate(documents_of(documents))}
    for split in ("train", "validation"):
        rows = rows_of(artifact, split)
        assert {len(row["tokens"]) for row in rows[:-1]} <= {LENGTH}
        assert 0 < len(rows[-1]["tokens"]) <= LENGTH
        for row in rows:
            edges = [(span["start"], span["end"]) for span in row["documents"]]
            assert [start for start, _ in edges] == [0, *(end for _, end in edges[:-1])]
            assert edges[-1][1] == len(row["tokens"])
        positions = [order[span["id"]] for row in rows for span in row["documents"]]
        assert positions == sorted(positions)


def test_each_language_holds_a_document_out_even_one_with_few(
    make_documents: MakeDocuments, packed: Callable[..., Artifact]
) -> None:
    artifact = packed(make_documents(records(english=80, chinese=2)), validation=0.001)
    splits = read_json(artifact.file("splits.json"))
    assert splits["validation"]["languages"]["en"]["documents"] == 1
    assert splits["validation"]["languages"]["zh"]["documents"] == 1
    assert splits["train"]["languages"]["zh"]["documents"] == 1
    counts = artifact.manifest.counts
    assert counts["in"] == counts["out"] == 82
    assert counts["tokens"] == splits["train"]["tokens"] + splits["validation"]["tokens"]
    assert splits["train"]["rows"] == len(rows_of(artifact, "train"))


def test_who_is_held_out_does_not_depend_on_the_order_of_documents(
    make_documents: MakeDocuments, packed: Callable[..., Artifact]
) -> None:
    documents = documents_of(make_documents(records(), name="made"))
    held_out_ids = []
    for files, order in ((2, documents), (3, documents[::-1])):
        artifact = packed(make_documents(order, files=files, name=f"documents-{files}"), f"pack-{files}")
        held_out_ids.append(set(tokens_by_document(rows_of(artifact, "validation"))))
    assert held_out_ids[0] == held_out_ids[1]


def test_two_workers_write_the_bytes_of_one(make_documents: MakeDocuments, packed: Callable[..., Artifact]) -> None:
    documents = make_documents(records(), files=4)
    one_worker, two_workers = packed(documents, "one", workers=1), packed(documents, "two", workers=2)
    assert one_worker.manifest.digest == two_workers.manifest.digest
    assert [file.path for file in one_worker.manifest.files] == [file.path for file in two_workers.manifest.files]


def test_shards_hold_a_fixed_number_of_rows_and_documents_cross_them(
    make_documents: MakeDocuments, packed: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = make_documents([{"text": CHINESE.format(1) * 40, "language": "zh"}, *records(9, 9)], files=2)
    unsplit = packed(documents, "whole")
    monkeypatch.setattr(pack_rows, "SHARD_TOKENS", 4 * LENGTH + 5)
    monkeypatch.setattr(pack_rows, "WRITE_TOKENS", 2 * LENGTH)
    small = packed(documents, "small")
    sizes = [pq.read_metadata(path).num_rows for path in small.files("train/")]
    assert set(sizes[:-1]) == {4}
    assert pq.read_metadata(small.files("train/")[0]).num_row_groups == 2
    for split in ("train", "validation"):
        assert rows_of(small, split) == rows_of(unsplit, split)


def test_a_vocabulary_decides_the_width_of_a_token() -> None:
    assert Packer(None, 0, 65_536).dtype == "uint16"  # type: ignore[arg-type]
    assert Packer(None, 0, 65_537).dtype == "uint32"  # type: ignore[arg-type]


def test_a_resumed_stage_encodes_no_file_again(
    make_documents: MakeDocuments, make_job: MakeJob, tokenizer: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"documents": make_documents(records(), files=3), "tokenizer": tokenizer}
    job = make_job(stage="pack", kind="tokens", inputs=inputs, params={"length": LENGTH, "validation": 0.1})
    first = pack.run(job)
    monkeypatch.setattr(pack, "encode", None)
    (job.folder / "tasks" / "rows-fast" / "train-000000.json").unlink()
    assert pack.run(job).files == first.files


def test_no_documents_is_an_error_that_says_so(make_documents: MakeDocuments, packed: Callable[..., Artifact]) -> None:
    with pytest.raises(StageFailed, match="no document came in"):
        packed(make_documents([]))


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_one_document_cannot_be_trained_and_validated_on(
    text: str, make_documents: MakeDocuments, packed: Callable[..., Artifact]
) -> None:
    with pytest.raises(StageFailed, match="train is empty: 1 documents came in"):
        packed(make_documents([{"text": text}]))


@pytest.mark.parametrize(
    "kind",
    [WordLevel(TokenizerOptions(min_count=2)), WordPiece(), BytePair(TokenizerOptions(specials=("[A]", "炉子")))],
)
def test_every_kind_packs_the_ids_of_its_texts_with_one_worker_or_two(
    kind: TokenizerTrainer, make_documents: MakeDocuments, make_job: MakeJob, publish: Publish, tmp_path: Path
) -> None:
    folder = tmp_path / "kind"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(kind.train([record["text"] for record in records()], 400), encoding="utf-8")
    documents, reference = (
        make_documents([*records(), {"text": "[A] 炉子 </s>"}], files=3),
        load(folder / "tokenizer.json"),
    )
    artifacts = []
    for workers in (1, 2):
        inputs = {"documents": documents, "tokenizer": Artifact(folder, None)}  # type: ignore[arg-type]
        params = {"length": LENGTH, "validation": 0.1}
        job = make_job(str(workers), stage="pack", kind="tokens", inputs=inputs, params=params, workers=workers)
        artifacts.append(publish(job, pack.run(job)))
    assert artifacts[0].manifest.digest == artifacts[1].manifest.digest
    split_tokens = [tokens_by_document(rows_of(artifacts[0], split)) for split in ("train", "validation")]
    texts = documents_of(documents)
    encoded = reference.encode(pa.array([row["text"] for row in texts], pa.large_string()))
    assert split_tokens[0] | split_tokens[1] == {row["id"]: [*encoded.document(at), 0] for at, row in enumerate(texts)}


def test_unknown_words_and_sentences_are_counted_by_language(
    make_documents: MakeDocuments, make_job: MakeJob, tmp_path: Path
) -> None:
    folder = tmp_path / "kind"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(
        WordLevel(TokenizerOptions(min_count=50)).train([ENGLISH] * 60, 400), encoding="utf-8"
    )
    inputs = {"documents": make_documents(records()), "tokenizer": Artifact(folder, None)}  # type: ignore[arg-type]
    job = make_job(stage="pack", kind="tokens", inputs=inputs, params={"length": LENGTH, "validation": 0.1})
    pack.run(job)
    for split in read_json(job.folder / "splits.json").values():
        english, chinese = split["languages"]["en"], split["languages"]["zh"]
        assert chinese["unknown"] == chinese["tokens"] - chinese["documents"] - chinese["sentences"]
        assert 0 < english["unknown"] < english["tokens"] / 10
        for name in ("tokens", "unknown", "sentences", "bytes"):
            assert split[name] == english[name] + chinese[name]


@pytest.mark.parametrize("kind", [BytePair(), WordPiece(), WordLevel(TokenizerOptions(min_count=1))])
def test_the_end_of_text_stands_once_a_document_whatever_the_text_spells(
    kind: TokenizerTrainer, make_documents: MakeDocuments, make_job: MakeJob, publish: Publish, tmp_path: Path
) -> None:
    english = "Row {}: a manual says that <|endoftext|> ends a text. [MASK][CLS][SEP] Then it goes on."
    chinese = "第{}行：手册说<|endoftext|>结束一段文字。然后手册继续。"
    texts = [text.format(n) for n in range(20) for text in (english, chinese)]
    folder = tmp_path / "kind"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(kind.train(texts, 400), encoding="utf-8")
    documents = make_documents([{"text": text} for text in texts], files=2)
    inputs = {"documents": documents, "tokenizer": Artifact(folder, None)}  # type: ignore[arg-type]
    params = {"length": LENGTH, "validation": 0.1}
    job = make_job(stage="pack", kind="tokens", inputs=inputs, params=params, workers=2)
    artifact = publish(job, pack.run(job))
    for split in pack.SPLITS:
        for ids in tokens_by_document(rows_of(artifact, split)).values():
            assert ids.count(0) == 1 and ids[-1] == 0
