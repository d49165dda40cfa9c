"""Decompression: the format is detected from content, members are joined, and damage loses no byte before it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.readers.streams import ZSTD, StreamError, blocks, codec_of

TEXT = "".join(f"第 {number} 行 line {number * 7919 % 1000}\n" for number in range(20_000)).encode()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def skippable(data: bytes, number: int = 0) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def windowed(data: bytes, window_log: int) -> bytes:
    """A frame that claims a window of 2^window_log bytes, as `zstd --long` writes."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(data) + compressor.flush()


def named_gzip(data: bytes) -> bytes:
    """A member whose header has every optional field."""
    plain = gzip.compress(data, mtime=0)
    extra, name, comment = b"\x03\x00abc", b"name\0", b"comment\0"
    return plain[:3] + bytes([4 | 8 | 16 | 2]) + plain[4:10] + extra + name + comment + b"\0\0" + plain[10:]


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "gzip with a full header": named_gzip, "zstd": zstd, "bzip2": bz2.compress,
    "xz": lzma.compress, "plain": bytes,
}  # fmt: skip
COMPRESSED = [name for name in CODECS if name != "plain"]


def read(path: Path) -> tuple[bytes, str]:
    """All data that was read, and the reason of the error that ended it, if any."""
    received = []
    try:
        for block in blocks(str(path)):
            received.append(block)
    except StreamError as error:
        return b"".join(received), error.reason
    return b"".join(received), ""


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_decompressed(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(CODECS[codec](TEXT))
    assert read(path) == (TEXT, "")
    assert codec.startswith(codec_of(path.read_bytes()[:10]))


@pytest.mark.parametrize("codec", COMPRESSED)
def test_members_are_joined_and_empty_ones_are_ignored(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(CODECS[codec](TEXT[:50]) + CODECS[codec](b"") + CODECS[codec](TEXT[50:]))
    assert read(path) == (TEXT, "")


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_truncated_file_yields_its_data_and_then_an_error(codec: str, tmp_path: Path) -> None:
    # noise compresses into many blocks, so that a truncated file keeps some complete ones
    noise = random.Random(7).randbytes(2_000_000)
    path, compressed = tmp_path / "text", CODECS[codec](noise)
    path.write_bytes(compressed[: int(len(compressed) * 0.7)])
    data, reason = read(path)
    assert reason == "truncated"
    assert noise.startswith(data)
    assert len(data) > 0.4 * len(noise)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_file_truncated_anywhere_raises_nothing_else(codec: str, tmp_path: Path) -> None:
    path, compressed = tmp_path / "text", CODECS[codec](TEXT[:300])
    for length in range(10, len(compressed)):
        path.write_bytes(compressed[:length])
        data, reason = read(path)
        assert reason == "truncated"
        assert TEXT.startswith(data)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_bytes_after_the_last_member_are_an_error_but_zeros_are_not(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(CODECS[codec](TEXT) + b"\0" * 5000)
    assert read(path) == (TEXT, "")
    path.write_bytes(CODECS[codec](TEXT) + b"\0" * 100 + b"garbage" * 200)
    assert read(path) == (TEXT, "trailing_garbage")


@pytest.mark.parametrize("codec", COMPRESSED)
def test_zeros_between_members_hold_no_data(codec: str, tmp_path: Path) -> None:
    path, compress = tmp_path / "text", CODECS[codec]
    path.write_bytes(compress(TEXT[:50]) + bytes(512) + compress(b"") + bytes(300_000) + compress(TEXT[50:]) + bytes(4))
    assert read(path) == (TEXT, "")


def test_skippable_frames_hold_no_data(tmp_path: Path) -> None:
    path, half = tmp_path / "text", len(TEXT) // 2
    first_frame, second_frame = zstd(TEXT[:half]), zstd(TEXT[half:])
    sizes = [len(frame).to_bytes(4, "little") for frame in (first_frame, second_frame)]
    layouts = {
        "as pzstd writes": skippable(sizes[0]) + first_frame + skippable(sizes[1]) + second_frame,
        "seekable": first_frame + second_frame + skippable(b"".join(sizes) + b"\xb1\xea\x92\x8f", 14),
        "every number, empty ones, frames within": b"".join(skippable(b"", number) for number in range(16))
        + first_frame + skippable(first_frame * 3 + ZSTD) + zstd(b"") + second_frame
        + skippable(bytes(600_000), 7) + bytes(9),
    }  # fmt: skip
    for layout, data in layouts.items():
        path.write_bytes(data)
        assert read(path) == (TEXT, ""), layout
    path.write_bytes(skippable(b"no text at all"))
    assert read(path) == (b"", "")


def test_a_skippable_frame_cut_short_is_truncated(tmp_path: Path) -> None:
    path, compressed = tmp_path / "text", zstd(TEXT) + skippable(bytes(100))
    for cut in (1, 50, 99, 100, 102):
        path.write_bytes(compressed[:-cut])
        assert read(path) == (TEXT, "truncated")
    path.write_bytes(zstd(TEXT) + skippable(b"")[:-1] + b"\xff")
    assert read(path) == (TEXT, "truncated"), "four gigabytes are claimed"


def test_a_window_up_to_the_limit_is_read_and_a_larger_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(windowed(TEXT, 27))
    assert read(path) == (TEXT, "")
    path.write_bytes(zstd(TEXT) + windowed(TEXT, 28))
    assert read(path) == (TEXT, "window_too_large")


def test_a_wrong_checksum_costs_no_data(tmp_path: Path) -> None:
    compressed = bytearray(gzip.compress(TEXT))
    compressed[-6] ^= 1
    (tmp_path / "text").write_bytes(compressed)
    assert read(tmp_path / "text") == (TEXT, "corrupt")


def test_a_bomb_is_read_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    for compress in (gzip.compress, zstd, bz2.compress, lzma.compress):
        path.write_bytes(compress(bytes(64 << 20)))
        sizes = [len(block) for block in blocks(str(path))]
        assert sum(sizes) == 64 << 20
        assert max(sizes) <= 128 << 20


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.gz").touch()
    assert read(tmp_path / "empty.gz") == (b"", "")
