"""JSONL: documents, and the reason of every line that is not one; real broken files against their truth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.core.files import RawFile
from pipeline.readers import create_reader, jsonl, match, text_problem
from pipeline.readers.base import BadRecord, Record
from pipeline.readers.jsonl import Jsonl
from pipeline.readers.lines import utf8_blocks
from pipeline.readers.section import Ingest

DATA = Path(os.environ.get("BLOOMERY_DATA", "../shared/data"))
FIELDS = {"id": "id", "text": "text", "url": "url", "language": None}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there: set BLOOMERY_DATA")


def reader_of(limit: int = 64 << 20, **fields: Any) -> Jsonl:
    jsonl_reader = create_reader({"reader": "jsonl", "fields": {**FIELDS, **fields}}, max_record_bytes=limit)
    assert isinstance(jsonl_reader, Jsonl)
    return jsonl_reader


def read(path: Path, after: int = -1) -> tuple[list[Record], list[BadRecord]]:
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    records = list(reader_of().read(raw, after=after))
    return [record for record in records if isinstance(record, Record)], [
        record for record in records if isinstance(record, BadRecord)
    ]


def line(data: str, **fields: Any) -> Any:
    return reader_of(**fields).record(7, data.encode("utf-8", "surrogatepass"))


def test_a_record_becomes_a_document_with_its_fields() -> None:
    record = line(
        '{"id": "a1", "text": "汉字 and words", "url": "https://example.org/", "lang": "zh", "n": 3, "ok": true}'
    )
    assert record == Record(7, "汉字 and words".encode(), "a1", "https://example.org/", "zh", {"n": "3", "ok": "true"})


def test_field_names_can_be_configured() -> None:
    text = '{"uid": 5, "content": "正文", "text": "a title", "link": "u", "iso": "zh", "lang": "en"}'
    record = line(text, id="uid", text="content", url="link", language="iso")
    assert record == Record(7, "正文".encode(), "5", "u", "zh", {"text": "a title", "lang": "en"})


def test_the_field_language_has_priority_over_lang() -> None:
    assert line('{"text": "x", "language": "en", "lang": "zh"}').language == "en"


def test_values_of_the_wrong_type_are_null_and_nested_ones_are_counted() -> None:
    jsonl = reader_of()
    record = jsonl.record(1, b'{"id": true, "text": "x", "url": {"href": 1}, "lang": 3, "tags": ["a"], "none": null}')
    assert record == Record(1, b"x", None, None, None, None)
    assert jsonl.left_out == 4


def test_the_last_value_of_a_repeated_key_counts() -> None:
    assert line('{"text": "first", "text": "第二"}').text == "第二".encode()


NUMBERS = [
    "1", "7.0", "0", "-0", "0.0", "-0.0", "1.10", "0.1", "1e5", "1E+5", "1e400", "-1e400", "1e-400", "0.1e1",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
    "3.14159265358979323846264338327950288", "9" * 400,
]  # fmt: skip


@pytest.mark.parametrize("digits", NUMBERS)
def test_a_number_keeps_its_digits_as_id_and_in_metadata(digits: str) -> None:
    expected = Record(7, "数".encode(), digits, None, None, {"n": digits})
    assert line(f'{{"id": {digits}, "text": "数", "n":{digits}}}') == expected
    assert line(f'{{"n" :  {digits} , "text": "数","id":{digits}\t}}') == expected


@pytest.mark.parametrize("digits", ["0.10", "1e5", "-0", "123456789012345678901234567890"])
def test_digits_are_not_read_from_another_place_in_the_line(digits: str) -> None:
    value = json.loads(digits)
    nested = f'{{"text": "\\"n\\": {value},", "a": {{"n": {value}}}, "n": {digits}}}'
    assert line(nested).metadata == {"n": digits}
    assert line(f'{{"text": "x", "n": {digits}, "a": {{"n": {value}}}}}').metadata == {"n": digits}
    assert line(f'{{"text": "x", "n": {digits}, "url": [{{"n": {value}}}]}}').metadata == {"n": digits}
    assert line(f'{{"text": "x", "n": {value}, "n": {digits}}}').metadata == {"n": digits}
    assert line(f'{{"text": "x", "\\u006e": {digits}}}').metadata == {"n": digits}
    assert line(f'{{"text": "x", "数\\"n": {value}, "n": {digits}}}').metadata["n"] == digits


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "[NaN]", '{"a": [1e999, {"b": "\\ud800"}]}', "[" * 5000 + "]" * 5000,
     '{"a":' * 5000 + "null" + "}" * 5000, '"\\ud800"', "1e999"],
)  # fmt: skip
def test_an_unusual_value_in_an_unused_field_does_not_lose_the_document(value: str) -> None:
    record = line(f'{{"id": 1.50, "text": "文字 text", "lang": "zh", "score": {value}, "n": 1.0}}')
    assert (record.text.decode(), record.source_id, record.language) == ("文字 text", "1.50", "zh")
    assert record.metadata["n"] == "1.0"


def test_numbers_that_are_not_finite_are_kept_as_they_are_written() -> None:
    record = line('{"id": NaN, "text": "x", "a": NaN, "b": Infinity, "c": -Infinity}')
    assert record == Record(7, b"x", None, None, None, {"a": "NaN", "b": "Infinity", "c": "-Infinity"})


def test_values_that_no_column_can_hold_are_counted_once() -> None:
    jsonl = reader_of()
    odd = b'{"id": NaN, "text": "x", "url": 5, "a": "\\udc00", "\\ud800": 1, "b": [], "c": {}, "n": 0.10, "l": null}'
    assert jsonl.record(1, odd) == Record(1, b"x", None, None, None, {"n": "0.10"})
    assert jsonl.left_out == 6


def test_a_null_language_is_passed_over_for_the_next_field() -> None:
    for nothing in ("null", '""', "NaN", "3", "{}"):
        assert line(f'{{"text": "字", "language": {nothing}, "lang": "zh"}}').language == "zh"
    assert line('{"text": "x", "language": null, "lang": null}') == Record(7, b"x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"text": "x"', "unparsable_json"), ("{'text': 'x'}", "unparsable_json"), ("## 标题", "unparsable_json"),
        ('{"text": "x", "n": NaN, }', "unparsable_json"), ('{"text": "x", "n": 01e999}', "unparsable_json"),
        ('{"text": "x", 1: 2}', "unparsable_json"), ('{"text": "x", "n": NaN} {}', "unparsable_json"),
        ('{"text": "x", "m": ' + "[" * 2000 + "]" * 1999 + "}", "unparsable_json"),
        ("[1, 2]", "not_an_object"), ("42", "not_an_object"), ("null", "not_an_object"), ('"x"', "not_an_object"),
        ("{}", "missing_text"), ('{"id": "x"}', "missing_text"),
        ("[NaN]", "not_an_object"), ("NaN", "not_an_object"), ('{"text": NaN}', "text_not_a_string"),
        ('{"text": 1e999}', "text_not_a_string"),
        ('{"text": null}', "text_not_a_string"), ('{"text": 5}', "text_not_a_string"),
        ('{"text": ["a"]}', "text_not_a_string"),
        ('{"text": ""}', "empty_text"), ('{"text": " \\t\\n\u3000"}', "empty_text"),
        ('{"text": "a \\ud83d b"}', "lone_surrogate"), ('{"text": "a \ud83d b"}', "invalid_utf8"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_a_document_has_a_reason(text: str, reason: str) -> None:
    bad = line(text)
    assert isinstance(bad, BadRecord)
    assert (bad.position, bad.reason) == (7, reason)
    assert bad.detail
    assert bad.raw == text.encode("utf-8", "surrogatepass")[:2000]


def test_blank_lines_are_not_records_but_count_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": "一"}\n  \r\n\n{"text": "two"}\r\n')
    good, bad = read(path)
    assert [(record.position, record.text.decode()) for record in good] == [(2, "一"), (5, "two")]
    assert not bad


def test_reading_continues_after_any_position(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "第 {number}"}}\n' if number % 3 else "bad\n" for number in range(1, 50)))
    raw = RawFile(str(path), path.name, path.stat().st_size, 0.0)
    all_records = list(reader_of().read(raw))
    for position in (0, 1, 20, 49):
        assert list(reader_of().read(raw, after=position)) == [
            record for record in all_records if record.position > position
        ]


def test_a_document_of_five_megabytes_is_read_completely(tmp_path: Path) -> None:
    text = "长文 long " * 500_000
    (tmp_path / "a.jsonl").write_bytes(orjson.dumps({"text": text}) + b"\n")
    (record,), _ = read(tmp_path / "a.jsonl")
    assert record.text.decode() == text


def problem_of(folder: Path, **options: Any) -> str | None:
    (source,) = Ingest.model_validate({"sources": [{"reader": "jsonl", "paths": str(folder), **options}]}).sources
    return text_problem(source, match(source))


def test_a_missing_text_field_is_reported_with_the_fields_that_records_have(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "标题": "x", "text": "y"}\n' * 300 + '{"content": "late"}\n')
    assert problem_of(tmp_path, text="content") == (
        "none of the first 100 records has a field 'content'; they have: id, 标题, text. Name the field that holds the"
        " text: `text: NAME`."
    )
    assert problem_of(tmp_path) is None


def test_a_text_field_in_one_record_of_any_file_is_enough(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_text('not JSON\n[1]\n{"text": "y"}\n')
    assert problem_of(tmp_path, text="content") is not None
    (tmp_path / "b.jsonl").write_text('{"text": "y"}\n{"content": null}\n')
    assert problem_of(tmp_path, text="content") is None


@pytest.mark.parametrize("data", [b"", b"\n\n", b"broken\n", b"[1, 2]\n", b"\x1f\x8b\x08", b"\xff\xfea\0"])
def test_files_without_a_record_are_not_a_problem_for_check(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    assert problem_of(tmp_path) is None


def test_sampling_the_first_records_does_not_read_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": "' + b"x" * (8 << 20) + b'"}\n{"b": 1}\n')
    block_sizes: list[int] = []

    def counted_blocks(path: str) -> Iterator[bytes]:
        for block in utf8_blocks(path):
            block_sizes.append(len(block))
            yield block

    monkeypatch.setattr(jsonl, "utf8_blocks", counted_blocks)
    assert problem_of(tmp_path) is None and sum(block_sizes) < 2 << 20


def broken() -> list[dict[str, Any]]:
    truth = DATA / "raw-broken.truth.jsonl"
    return [json.loads(line) for line in truth.read_text().splitlines()] if truth.exists() else []


@needs_data
@pytest.mark.parametrize("truth", broken(), ids=lambda truth: str(truth["file"]))
def test_a_broken_file_yields_its_readable_records_and_reports_the_loss(truth: dict[str, Any]) -> None:
    good, bad = read(DATA / "raw-broken" / truth["file"])
    assert len({record.position for record in good}) == len(good)
    if truth["expect"] == "all":
        assert len(good) == truth["recoverable"]
        assert len(bad) == (1 if "garbage" in truth["file"] else 0)
    elif truth["expect"] == "none":
        assert not good
    elif truth["expect"] == "partial":
        assert len(good) >= truth["recoverable"]
        assert [record.reason for record in bad][-1] in ("truncated", "corrupt")
    else:
        assert len(good) == truth["recoverable"] or bad


@needs_data
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_every_compression_gives_the_same_documents(suffix: str) -> None:
    good, bad = read(DATA / "formats" / f"docs.jsonl{suffix}")
    reference, _ = read(DATA / "formats" / "docs.jsonl")
    assert good == reference
    assert len(good) == 58
    assert not bad


@needs_data
def test_every_bad_line_of_the_mixed_corpus_is_handled_as_its_truth_says() -> None:
    truth = [json.loads(entry) for entry in (DATA / "raw-mixed.truth" / "bad-lines.jsonl").read_text().splitlines()]
    for shard in sorted({entry["shard"] for entry in truth}):
        good, bad = read(DATA / "raw-mixed" / shard)
        good_lines, bad_lines = {entry.position for entry in good}, {entry.position: entry.reason for entry in bad}
        shard_truth = [entry for entry in truth if entry["shard"] == shard]
        for entry in shard_truth:
            line, expect = entry["line"], entry["expect"]
            assert (line in good_lines) + (line in bad_lines) == (0 if expect == "skip" else 1), entry
            assert not (expect == "keep" and line in bad_lines), entry
            assert not (expect == "reject" and line in good_lines), entry
            assert expect != "empty" or bad_lines[line] == "empty_text", entry
        assert set(bad_lines) <= {entry["line"] for entry in shard_truth}
