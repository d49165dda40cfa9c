"""Packed tokens in the formats of other programs, read back as those programs read them."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.job import Job, StageOutput
from pipeline.core.manifest import Manifest
from pipeline.stages import pack, pack_rows
from pipeline.token_formats.base import TokenFormat
from pipeline.token_formats.exporter import PackedTokenExporter
from pipeline.token_formats.megatron import MegatronFiles
from pipeline.token_formats.nanogpt import NanoGPTFiles
from pipeline.token_formats.parquet_rows import ParquetRows
from pipeline.tokenizers.bpe import BytePair

LENGTH = 32
TEXTS = {"en": "The furnace turns raw ore into a bloom of iron, number {}. ", "zh": "第{}座炉子把矿石炼成铁块。"}
PACKINGS: list[dict[str, Any]] = [{}, {"packing": "best_fit"}]
FORMATS = ("datasets", "megatron", "nanogpt")
Packed = Callable[..., Artifact]


def records() -> list[dict[str, Any]]:
    """English and Chinese in turn, from shorter than a row to several rows long."""
    return [
        {"text": TEXTS[language].format(at) * (1 + at % 5), "language": language}
        for at in range(70)
        for language in ("en", "zh")
    ]


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    return BytePair().train([record["text"] for record in records()], 400)


@pytest.fixture
def tokenizer(tokenizer_json: str, tmp_path: Path) -> Artifact:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    return Artifact(folder, Manifest("tokenizer", 1, "f" * 64, "tokenizer", {}, {}, (), {}, "d" * 64, "c" * 64))


@pytest.fixture
def packed(
    make_job: Callable[..., Job], publish: Callable[[Job, StageOutput], Artifact], tokenizer: Artifact,
    make_documents: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch,
) -> Packed:  # fmt: skip
    """Rows in several shards and row groups: documents cross both."""
    monkeypatch.setattr(pack_rows, "SHARD_TOKENS", 20 * LENGTH)
    monkeypatch.setattr(pack_rows, "WRITE_TOKENS", 6 * LENGTH)
    inputs = {"documents": make_documents(records(), files=4), "tokenizer": tokenizer}

    def run(**params: Any) -> Artifact:
        params = {"length": LENGTH, "validation": 0.1, **params}
        job = make_job("pack", stage="pack", kind="tokens", inputs=inputs, params=params)
        artifact = publish(job, pack.run(job))
        return dataclasses.replace(artifact, manifest=dataclasses.replace(artifact.manifest, params=params))

    return run


def rows_of(artifact: Artifact, split: str) -> list[dict[str, Any]]:
    return [row for path in artifact.files(f"{split}/") for row in pq.read_table(path).to_pylist()]


def documents_of(artifact: Artifact, split: str) -> dict[str, list[int]]:
    """The tokens of each document, its full rows before its rest."""
    pieces: dict[str, list[list[int]]] = {}
    for row in rows_of(artifact, split):
        for span in row["documents"]:
            pieces.setdefault(span["id"], []).append(row["tokens"][span["start"] : span["end"]])
    best_fit = artifact.manifest.params.get("packing") == "best_fit" and split == "train"
    return {
        document: sum(sorted(parts, key=len, reverse=True) if best_fit else parts, [])
        for document, parts in pieces.items()
    }


class IndexedDataset:
    """Reads NAME.idx and NAME.bin by the published layout of Megatron's indexed datasets, version 1."""

    def __init__(self, prefix: Path) -> None:
        data = prefix.with_suffix(".idx").read_bytes()
        assert data[:9] == b"MMIDIDX\x00\x00" and struct.unpack("<Q", data[9:17]) == (1,)
        self.dtype = np.dtype({4: np.int32, 8: np.uint16}[data[17]])
        sequences, documents = struct.unpack("<QQ", data[18:34])
        self.lengths = np.frombuffer(data, np.int32, sequences, 34)
        self.pointers = np.frombuffer(data, np.int64, sequences, 34 + 4 * sequences)
        self.documents = np.frombuffer(data, np.int64, documents, 34 + 12 * sequences)
        assert len(data) == 34 + 12 * sequences + 8 * documents
        self.bin = np.memmap(prefix.with_suffix(".bin"), self.dtype, "r")

    def __getitem__(self, number: int) -> NDArray[np.integer]:
        first = int(self.pointers[number]) // self.dtype.itemsize
        return self.bin[first : first + int(self.lengths[number])]


def export(artifact: Artifact, tokenizer: Artifact, name: str, folder: Path) -> Path:
    return PackedTokenExporter().export(artifact, tokenizer, name, folder).folder


@pytest.mark.parametrize("params", PACKINGS, ids=["concat", "best fit"])
def test_datasets_opens_the_rows_with_their_documents(
    params: dict[str, Any], packed: Packed, tokenizer: Artifact, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    artifact = packed(**params)
    folder = export(artifact, tokenizer, "datasets", tmp_path / "rows")
    opened = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert set(opened) == {"train", "validation"}
    for split, data in opened.items():
        rows = rows_of(artifact, split)
        assert data["input_ids"][:] == [row["tokens"] for row in rows]
        assert data["documents"][:] == [row["documents"] for row in rows]


@pytest.mark.parametrize("params", PACKINGS, ids=["concat", "best fit"])
def test_megatron_reads_each_document_as_a_sequence(
    params: dict[str, Any], packed: Packed, tokenizer: Artifact, tmp_path: Path
) -> None:
    artifact = packed(**params)
    folder = export(artifact, tokenizer, "megatron", tmp_path / "indexed")
    for split in ("train", "validation"):
        indexed, documents = IndexedDataset(folder / split), documents_of(artifact, split)
        assert indexed.dtype == np.uint16 and indexed.documents.tolist() == list(range(len(documents) + 1))
        assert [indexed[number].tolist() for number in range(len(indexed.lengths))] == list(documents.values())
        assert int(indexed.lengths.max()) > LENGTH
        assert all(indexed[number][-1] == 0 for number in range(len(indexed.lengths)))


def test_nanogpt_cuts_windows_of_the_stream(packed: Packed, tokenizer: Artifact, tmp_path: Path) -> None:
    artifact = packed()
    folder = export(artifact, tokenizer, "nanogpt", tmp_path / "flat")
    for split, name in (("train", "train.bin"), ("validation", "val.bin")):
        stream = [token for row in rows_of(artifact, split) for token in row["tokens"]]
        data = np.memmap(folder / name, dtype=np.uint16, mode="r")  # as get_batch of its train.py
        assert len(data) == len(stream)
        for start in (0, 7, len(data) - LENGTH):
            assert data[start : start + LENGTH].astype(np.int64).tolist() == stream[start : start + LENGTH]
    assert pickle.loads((folder / "meta.pkl").read_bytes()) == {"vocab_size": 400}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_tokens_give_the_same_bytes_which_the_description_lists(
    name: str, packed: Packed, tokenizer: Artifact, tmp_path: Path
) -> None:
    artifact = packed()
    folders = [export(artifact, tokenizer, name, tmp_path / place / "out") for place in ("one", "two")]
    contents = [
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    assert contents[0] == contents[1]
    description = json.loads(contents[0].pop("tokens.json"))
    assert {path: entry["sha256"] for path, entry in description["files"].items()} == {
        path: hashlib.sha256(data).hexdigest() for path, data in contents[0].items()
    }
    assert description["tokens"]["digest"] == artifact.manifest.digest and description["vocabulary"] == 400
    assert description["tokenizer"]["digest"] == tokenizer.manifest.digest
    assert description["splits"]["train"]["documents"] == artifact.manifest.counts["splits"]["train"]["documents"]
    assert contents[0]["tokenizer.json"] == tokenizer.file("tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("token_format", "vocabulary", "dtype"),
    [
        (MegatronFiles, 65_499, "uint16"), (MegatronFiles, 65_500, "int32"), (NanoGPTFiles, 65_536, "uint16"),
        (ParquetRows, 65_536, "uint16"), (ParquetRows, 65_537, "int32"),
    ],
)  # fmt: skip
def test_the_vocabulary_decides_the_type_of_a_token(
    token_format: type[TokenFormat], vocabulary: int, dtype: str
) -> None:
    assert token_format(vocabulary).dtype().name == dtype and token_format(vocabulary).refusal() is None


def test_nanogpt_refuses_a_vocabulary_that_its_type_cannot_hold(
    packed: Packed, tokenizer: Artifact, tmp_path: Path
) -> None:
    artifact, path = packed(), tokenizer.file("tokenizer.json")
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts["added_tokens"].append({**facts["added_tokens"][0], "id": 65_536, "content": "<|last|>"})
    path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(UserError, match="65,537 of them. Choose megatron or datasets"):
        export(artifact, tokenizer, "nanogpt", tmp_path / "flat")
    indexed = IndexedDataset(export(artifact, tokenizer, "megatron", tmp_path / "indexed") / "train")
    assert indexed.dtype == np.int32
    documents = documents_of(artifact, "train")
    assert [indexed[number].tolist() for number in range(len(indexed.lengths))] == list(documents.values())


def test_a_folder_that_is_there_is_not_overwritten(packed: Packed, tokenizer: Artifact, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already, and nothing is overwritten"):
        export(packed(), tokenizer, "nanogpt", folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_a_killed_export_left_is_removed_and_one_that_runs_is_not_disturbed(
    packed: Packed, tokenizer: Artifact, tmp_path: Path
) -> None:
    left = tmp_path / ".out.tmp"
    (left / "data").mkdir(parents=True)
    (left / "train.bin").write_bytes(b"half")
    descriptor = os.open(left, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    artifact = packed()
    with pytest.raises(UserError, match="is being written by another process"):
        export(artifact, tokenizer, "megatron", tmp_path / "out")
    assert (left / "train.bin").exists()
    os.close(descriptor)
    folder = export(artifact, tokenizer, "megatron", tmp_path / "out")
    assert not left.exists() and not (folder / "data").exists() and (folder / "train.idx").exists()


def test_a_damaged_artifact_leaves_no_folder(packed: Packed, tokenizer: Artifact, tmp_path: Path) -> None:
    artifact = packed()
    files = artifact.manifest.files
    train = [file for file in files if file.path.startswith("train/")]
    damaged = dataclasses.replace(artifact.manifest, files=tuple(file for file in files if file != train[-1]))
    with pytest.raises(StageFailed, match="the artifact is damaged"):
        export(dataclasses.replace(artifact, manifest=damaged), tokenizer, "nanogpt", tmp_path / "flat")
    assert not [path for path in tmp_path.iterdir() if "flat" in path.name]
