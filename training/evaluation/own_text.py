"""The held-out documents' own text: the bytes that bits per byte refer to, and what the tokenizer lost of them.

A tokenizer that cannot spell every text (words, WordPiece, some files) writes one token for everything it does not
know, and drops what it does not keep. That would flatter a model: the fewer words it knows, the less it has to
predict. So every byte of the text counts, and a byte that no token spells is charged with 8 bits, the cost of writing
it out. What such a tokenizer changes without losing bytes is not charged: white space, upper case, compatibility forms.
Memory: two numbers for each held-out document. Cost: one pass over the held-out text.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.shards import batches
from pipeline.tokenizers.normalization import load_normalizer
from training.evaluation.held_out import HeldOut, HeldOutDocument

NATS_PER_BYTE = 8 * math.log(2)


@dataclass(frozen=True)
class OwnText:
    """`bytes` of a text in UTF-8; `visible_bytes`: after the tokenizer's folding, those that are not white space."""

    bytes: int
    visible_bytes: int


@dataclass(frozen=True)
class TextShare:
    """The part of a document that a figure refers to: bytes of its own text, and the nats charged for lost bytes."""

    bytes: float
    lost_nats: float


def held_out_texts(held_out: HeldOut, language: str | None = None) -> Iterator[bytes]:
    """The texts as they were cleaned, in the order of the documents; of one language, or all."""
    for document_id, text in document_texts(held_out, held_out.language_of):
        if language in (None, held_out.language_of[document_id]):
            yield text


def own_texts(held_out: HeldOut) -> dict[str, OwnText]:
    """The sizes of every held-out text, by the document's id; empty where the tokenizer keeps every byte."""
    if held_out.token_bytes.exact:
        return {}
    fold = load_normalizer(held_out.tokenizer)
    documents = document_texts(held_out, held_out.language_of)
    return {
        document_id: OwnText(len(text), visible_bytes(fold(text.decode("utf-8")))) for document_id, text in documents
    }


def text_share(own: OwnText | None, document: HeldOutDocument, predicted_bytes: int) -> TextShare:
    """The part of the document's own text that `predicted_bytes`, spelled by predicted tokens, stand for."""
    if own is None:
        return TextShare(predicted_bytes, 0.0)
    predicted_part = predicted_bytes / document.spelled_bytes if document.spelled_bytes else 1.0
    lost_bytes = max(0, own.visible_bytes - document.visible_bytes)
    return TextShare(predicted_part * own.bytes, predicted_part * lost_bytes * NATS_PER_BYTE)


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


def visible_bytes(text: str) -> int:
    """The bytes of a text that are not white space."""
    return len("".join(text.split()).encode())
