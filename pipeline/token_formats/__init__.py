"""Formats in which packed tokens leave for other programs. To add one: a file beside `nanogpt.py`, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.token_formats.base import TokenFormat

_CODE = "pipeline.token_formats"

TOKEN_FORMATS: Registry[TokenFormat] = Registry(
    "format of tokens",
    (
        Entry("datasets", code=f"{_CODE}.parquet_rows:ParquetRows"),
        Entry("megatron", code=f"{_CODE}.megatron:MegatronFiles"),
        Entry("nanogpt", code=f"{_CODE}.nanogpt:NanoGPTFiles"),
    ),
    base="pipeline.token_formats.base:TokenFormat",
)
