"""The held-out documents' own text: the bytes that bits per byte are of, and what a tokenizer lost of them.

A tokenizer that cannot spell every text (words, WordPiece, some files) writes one token for what it does not know, and
leaves out what it does not keep. That would flatter a model: the fewer words it knows, the less it has to predict. So
every byte of the text counts, and one that no token spells is charged with 8 bits, what it costs to write it out. Not
charged is what such a tokenizer changes without losing bytes: white space, upper case and compatibility forms.
Memory: two numbers a held-out document. Cost: one pass over the held-out text.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.shards import batches
from pipeline.tokenizers.normalization import load_normalizer
from training.evaluation.held_out import Document, HeldOut

NATS_A_BYTE = 8 * math.log(2)


@dataclass(frozen=True)
class OwnText:
    """`bytes` of a text in UTF-8, and of these, after the tokenizer's folding, the bytes `inked`: no white space."""

    bytes: int
    inked: int


@dataclass(frozen=True)
class Share:
    """Of a document, the bytes of its own text that a figure is of, and the nats charged for what was lost of them."""

    bytes: float
    lost: float


def texts(held_out: HeldOut, language: str | None = None) -> Iterator[bytes]:
    """The texts as they were cleaned, in the order of the documents; of one language, or all."""
    for document_id, text in document_texts(held_out, held_out.language_of):
        if language in (None, held_out.language_of[document_id]):
            yield text


def own_texts(held_out: HeldOut) -> dict[str, OwnText]:
    """The sizes of every held-out text, by the document's id; none where the tokenizer keeps every byte."""
    if held_out.pieces.exact:
        return {}
    fold = load_normalizer(held_out.tokenizer)
    documents = document_texts(held_out, held_out.language_of)
    return {document_id: OwnText(len(text), _inked(fold(text.decode("utf-8")))) for document_id, text in documents}


def share(own: OwnText | None, document: Document, predicted_bytes: int) -> Share:
    """What `predicted_bytes`, spelled by the tokens that were predicted, stand for in the document's own text."""
    if own is None:
        return Share(predicted_bytes, 0.0)
    part = predicted_bytes / document.spelled_bytes if document.spelled_bytes else 1.0
    lost = max(0, own.inked - document.inked_bytes)
    return Share(part * own.bytes, part * lost * NATS_A_BYTE)


def document_texts(held_out: HeldOut, document_ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Id and text of these documents, in the order of the document files.

    Where there are no document files, the text is what the tokens spell.
    """
    if not held_out.document_files:
        yield from ((document.id, document.text) for document in held_out.documents() if document.id in document_ids)
        return
    ids = pa.array(list(document_ids), pa.string())
    for path in held_out.document_files:
        for batch in batches(path, ["id", "text"]):
            selected = batch.filter(pc.is_in(batch["id"], value_set=ids))
            for document_id, text in zip(selected["id"], selected["text"], strict=True):
                yield document_id.as_py(), text.as_py().encode()


def _inked(text: str) -> int:
    return len("".join(text.split()).encode())
