"""The scores that models gave documents (the stage `annotate`): which artifact and which file of it belong to which.

A file of scores has the rows and the row groups of the file of documents of the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.artifact import Artifact
from pipeline.core.inputs import InputFile, Inputs
from pipeline.core.manifest import as_list

ANNOTATIONS, SCORES = "annotations", "scores/"


def is_of(annotation: Artifact, documents: Artifact) -> bool:
    """Whether these are scores of these documents: by the digest of what was read, not by its fingerprint."""
    digests = annotation.manifest.input_digests or annotation.manifest.inputs
    known = (documents.manifest.digest, documents.manifest.fingerprint)
    return any(value in known for values in digests.values() for value in as_list(values))


def score_files(inputs: Inputs) -> list[list[InputFile]]:
    """For each file of documents, in order, its files of scores: one for each entry of `annotate` that is read."""
    return files_beside(inputs, ANNOTATIONS, SCORES)


def files_beside(inputs: Inputs, kind: str, prefix: str) -> list[list[InputFile]]:
    """For each file of documents, in order, the file below `prefix` of each artifact of this kind that was made of its
    documents."""
    listed = inputs.listed(kind, prefix)
    files: list[list[InputFile]] = []
    for documents in inputs.all("documents"):
        numbers = [number for number, each in enumerate(inputs.all(kind)) if is_of(each, documents)]
        columns = [[file for file in listed if file["part"] == number] for number in numbers]
        count = len(documents.entries("parts/"))
        files += [list(of_file) for of_file in zip(*columns, strict=True)] if columns else [[] for _ in range(count)]
    return files


def signal_of(annotation: Artifact) -> str:
    """The signal that these scores are."""
    name: str = annotation.manifest.params["name"]
    return f"score_{name}"


def scores_beside(artifacts: Sequence[Artifact], documents: Artifact) -> list[Artifact]:
    """Of these artifacts, the scores of these documents."""
    return [each for each in artifacts if each.manifest.kind == ANNOTATIONS and is_of(each, documents)]
