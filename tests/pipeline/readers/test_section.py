"""The ingest section: all mistakes are reported together, sources get names, and params hold no location of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.config import Section, validate
from pipeline.core.errors import ConfigError, UserError
from pipeline.core.yaml_tree import YamlTree, parse_tree
from pipeline.readers import match
from pipeline.readers.section import Delimited, Ingest, Jsonl, ingest_params


class Config(Section):
    ingest: Ingest


def load(sources: str) -> Ingest:
    return validate(parse_tree(f"ingest:\n  sources:\n{sources}", YamlTree("a.yaml")), Config).ingest


def test_unnamed_sources_are_named_after_their_readers_and_text_is_expanded() -> None:
    section = load(
        "    - {reader: jsonl, paths: zh/*.gz, text: 正文, language: zh}\n"
        "    - {reader: jsonl, paths: [en/a, en/b]}\n"
        "    - {reader: plain, paths: x, name: jsonl-3}\n"
    )
    assert [source.name for source in section.sources] == ["jsonl", "jsonl-2", "jsonl-3"]
    jsonl_source = section.sources[0]
    assert isinstance(jsonl_source, Jsonl)
    assert (jsonl_source.paths, jsonl_source.fields.text, jsonl_source.language) == (["zh/*.gz"], "正文", "zh")


def test_the_resolved_section_validates_to_an_equal_section() -> None:
    section = load(
        "    - {reader: python_docs, packages: numpy==2.4.6, bytes: 1000}\n    - {reader: plain, paths: x}\n"
    )
    assert Ingest.model_validate(section.model_dump(mode="json", exclude_none=True)) == section


def test_every_mistake_is_reported_with_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            "    - {reader: jsonl, pathz: a, fields: {txt: body}}\n"
            "    - {reader: josnl, paths: a}\n"
            "    - {paths: a}\n"
            "    - {reader: python_docs, packages: numpy}\n"
        )
    message = str(caught.value)
    assert "a.yaml:3: ingest.sources[0].paths: is missing." in message
    assert "a.yaml:3: ingest.sources[0].fields.txt: unknown key. Did you mean 'text'?" in message
    assert "a.yaml:4: ingest.sources[1]: unknown reader 'josnl'. Did you mean 'jsonl'?" in message
    assert "a.yaml:5: ingest.sources[2]: a: no file matches." in message
    assert "a.yaml:6: ingest.sources[3].packages[0]: 'numpy' is not pinned; write name==version." in message


def test_two_sources_with_the_same_name_are_rejected() -> None:
    with pytest.raises(ConfigError, match="two sources have the name 'x'"):
        load("    - {reader: plain, paths: a, name: x}\n    - {reader: plain, paths: b, name: x}\n")


def test_the_location_of_files_is_not_a_param() -> None:
    def params(**location: Any) -> dict[str, Any]:
        return ingest_params(Ingest.model_validate({"sources": [{"reader": "jsonl", **location}]}), 1)

    assert params(paths="a/*.gz") == params(paths=["b/x.gz"])
    assert params(paths="a") != params(paths="a", fields={"text": "content"})


def test_two_files_with_the_same_name_are_rejected(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "文.jsonl").touch()
    source = Jsonl(reader="jsonl", name="s", paths=[f"{tmp_path}/a/*", f"{tmp_path}/b/*"])
    with pytest.raises(UserError, match="both called 文.jsonl"):
        match(source)
    assert [file.name for file in match(Jsonl(reader="jsonl", paths=[f"{tmp_path}/*/*"]))] == [
        "a/文.jsonl",
        "b/文.jsonl",
    ]


def test_a_reader_in_a_plugin_is_named_by_its_import_string(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_reader.py").write_text(
        "from pipeline.readers.base import Reader\n"
        "from pipeline.readers.section import FileSource\n"
        "class Own(Reader):\n"
        "    class Options(FileSource):\n"
        "        depth: int = 2\n"
        "    def read(self, file, *, after=-1):\n"
        "        return iter(())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    section = Ingest.model_validate(
        {"sources": [{"reader": "own_reader:Own", "paths": f"{tmp_path}/*.py", "depth": 3}]}
    )
    assert ingest_params(section, 1)["sources"][0]["depth"] == 3
    assert [source.name for source, files in section.raw_files() if files] == ["Own"]


def test_a_source_without_a_reader_is_what_its_files_are(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "文"}\n')
    written = load(f"    - {{reader: jsonl, paths: {tmp_path}, text: body}}\n")
    for reader in ("reader: auto, ", ""):
        recognized = load(f"    - {{{reader}paths: {tmp_path}, text: body}}\n")
        assert recognized.sources[0].recognized and not written.sources[0].recognized
        assert ingest_params(recognized, 1) == ingest_params(written, 1), "the same artifact as with the name written"
    with pytest.raises(ConfigError, match=r"a.yaml:3: ingest.sources\[0\].paths: is missing"):
        load("    - {pathz: a}\n")
    with pytest.raises(ConfigError, match="a.yaml:3: ingest.sources.0.: names no reader; packages are read by"):
        load("    - {packages: numpy==2}\n")
    (tmp_path / "b.parquet").write_bytes(b"PAR1\0\0")
    with pytest.raises(ConfigError, match="a.jsonl is JSON Lines, but b.parquet is Parquet"):
        load(f"    - {{paths: {tmp_path}}}\n")


def test_encodings_and_shorthands_of_fields_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'klingon' is no encoding that Python knows; write utf-8, gb18030"):
        load("    - {reader: csv, paths: a, encoding: klingon}\n")
    (source,) = load("    - {reader: csv, paths: a, text: [title, data.body], join: ' ', id: uid}\n").sources
    assert isinstance(source, Delimited)
    assert (source.fields.text, source.fields.join, source.fields.id) == (["title", "data.body"], " ", "uid")
