"""What every step of dedupe reads: its section, its method, and the documents of a range of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipeline.beam.task import Task
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job
from pipeline.core.plugins import without_sources
from pipeline.dedupe import METHODS
from pipeline.dedupe.base import Method, RowNumbers
from pipeline.dedupe.corpus import CorpusIndex, read_rows, read_texts
from pipeline.dedupe.section import Dedupe
from pipeline.dedupe.sets import SetStore
from pipeline.dedupe.task_types import FileRange

# of each document: bytes of its text, a hash of the text in form NFKC, a hash of the text itself
TEXT_FACTS = np.dtype([("length", "<u4"), ("raw", "<u8"), ("identity", "<u8")])


def section_of(job: Job) -> Dedupe:
    """The options of the stage."""
    return Dedupe.model_validate(without_sources(job.params))


def method_of(job: Job) -> Method:
    """The method that the options name."""
    method: Method = METHODS.load(section_of(job).method)(section_of(job))
    return method


def listed_documents(job: Job) -> list[InputFile]:
    """All files of documents, in the order of the corpus; none is downloaded."""
    return job.inputs.listed("documents", "parts/")


def file_range_tasks(job: Job, corpus: CorpusIndex, count: int) -> list[Task[FileRange]]:
    """One task for each file range; `count` is given to all of them."""
    sizes = [file["bytes"] for file in listed_documents(job)]
    return [
        Task(
            f"{file_range:06d}",
            sum(sizes[file] for file in corpus.files_of(file_range)),
            FileRange(file_range=file_range, count=count),
        )
        for file_range in range(corpus.file_ranges)
    ]


def range_rows(
    job: Job, corpus: CorpusIndex, file_range: int, columns: Sequence[str]
) -> Iterator[tuple[RowNumbers, pa.Table]]:
    """The row groups of a file range, with the numbers of their documents."""
    files = listed_documents(job)
    for file in corpus.files_of(file_range):
        yield from read_rows(job.inputs.local(files[file]), int(corpus.starts[file]), columns)


def range_texts(job: Job, corpus: CorpusIndex, file_range: int) -> Iterator[tuple[RowNumbers, pa.LargeStringArray]]:
    """The texts of a file range, a few megabytes at a time, with the numbers of their documents."""
    files = listed_documents(job)
    for file in corpus.files_of(file_range):
        yield from read_texts(job.inputs.local(files[file]), int(corpus.starts[file]))


def set_store(job: Job, *, written: bool = True) -> SetStore:
    """The shingle sets that the step `sets` wrote, if there was one."""
    return SetStore(job.draft if written else None, CorpusIndex.load(job.draft).range_starts)
