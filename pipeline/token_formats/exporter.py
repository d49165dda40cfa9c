"""Packed tokens of a run → a folder in the format of another program, with the tokenizer and where they came from.

tokens.json beside the files has their digests, those of the tokens and of the tokenizer, and what the tokens were made
of; no times, paths or hosts, so that the same tokens give the same bytes. Nothing of the corpus is in memory but what
the format holds at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import JsonObject, write_json
from pipeline.core.token_export import ExportedSplit, ExportedTokens
from pipeline.token_formats import TOKEN_FORMATS
from pipeline.token_formats.base import PackedSplit, TokenFormat, WrittenSplit, hashed_file
from pipeline.token_formats.new_folder import new_folder
from pipeline.tokenizers.tokenizer_json import TokenizerJson, end_of_text_id, token_ids

DESCRIPTION = "tokens.json"
SPLITS = ("train", "validation")


class PackedTokenExporter:
    """Exports what the stage `pack` published."""

    def formats(self) -> Sequence[str]:
        return TOKEN_FORMATS.names()

    def export(self, tokens: Artifact, tokenizer: Artifact, format_name: str, folder: Path) -> ExportedTokens:
        tokenizer_bytes = tokenizer.file("tokenizer.json").read_bytes()
        facts: TokenizerJson = json.loads(tokenizer_bytes)
        vocabulary = max(token_ids(facts).values()) + 1
        token_format = TOKEN_FORMATS.load(TOKEN_FORMATS.check_name(format_name))(vocabulary)
        if refusal := token_format.refusal():
            raise UserError(refusal)
        with new_folder(folder) as beside:
            written = {split: _write(token_format, tokens, split, beside) for split in SPLITS}
            files = [entry for split in written.values() for entry in split.files]
            files += token_format.write_vocabulary(beside)
            with hashed_file(beside, "tokenizer.json", files) as copy:
                copy.write(tokenizer_bytes)
            splits = tuple(_exported(tokens, name, split) for name, split in written.items())
            description: JsonObject = {
                "format": format_name, "dtype": token_format.dtype().name, "vocabulary": vocabulary,
                "end_of_text": end_of_text_id(facts), **_origin(tokens, tokenizer),
                "splits": {split.split: _counts(split) for split in splits},
                "files": {entry.path: {"bytes": entry.bytes, "sha256": entry.sha256} for entry in files},
            }  # fmt: skip
            write_json(beside / DESCRIPTION, description)
        usage = token_format.USAGE.format(folder=folder, name=folder.name)
        return ExportedTokens(folder, {entry.path: entry.bytes for entry in files}, splits, usage)


def _write(token_format: TokenFormat, tokens: Artifact, name: str, folder: Path) -> WrittenSplit:
    """Write a split and compare what was written with the counts of the manifest."""
    # held-out rows are cut by concat, whatever `packing` says
    best_fit = name == "train" and tokens.manifest.params.get("packing") == "best_fit"
    written = token_format.write(PackedSplit(name, tuple(tokens.files(f"{name}/")), best_fit), folder)
    counts = tokens.manifest.counts["splits"][name]
    if (written.rows, written.tokens) != (counts["rows"], counts["tokens"]):
        raise StageFailed(
            f"{name}: {written.rows:,} rows of {written.tokens:,} tokens were read, and {counts['rows']:,} of "
            f"{counts['tokens']:,} were packed: the artifact is damaged. Run pack again with --force."
        )
    if written.sequences not in (None, counts["documents"]):
        raise StageFailed(
            f"{name}: the spans are of {written.sequences:,} documents, and {counts['documents']:,} were packed."
        )
    return written


def _exported(tokens: Artifact, name: str, written: WrittenSplit) -> ExportedSplit:
    documents = tokens.manifest.counts["splits"][name]["documents"]
    return ExportedSplit(name, written.rows, written.tokens, documents, written.sequences)


def _counts(split: ExportedSplit) -> JsonObject:
    counts: JsonObject = {"rows": split.rows, "tokens": split.tokens, "documents": split.documents}
    return counts if split.sequences is None else {**counts, "sequences": split.sequences}


def _origin(tokens: Artifact, tokenizer: Artifact) -> JsonObject:
    """What the tokens are, and the fingerprints and digests of what they were made of."""
    manifest = tokens.manifest
    return {
        "tokens": {
            "stage": manifest.stage, "version": manifest.version, "fingerprint": manifest.fingerprint,
            "digest": manifest.digest, "content_digest": manifest.content_digest, "params": manifest.params,
            "inputs": manifest.inputs, "input_digests": manifest.input_digests,
        },
        "tokenizer": {"fingerprint": tokenizer.manifest.fingerprint, "digest": tokenizer.manifest.digest},
    }  # fmt: skip
