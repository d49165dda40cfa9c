"""A value of the wrong type gets one message in the user's words, also where a field takes several types."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cluster
import pipeline
import training
from cluster.config import load
from pipeline.core.config import Section
from pipeline.core.errors import ConfigError

SAYS_IT_ITSELF = "function-wrap"


INTEGER = "should be a valid integer, unable to parse string as an integer"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("pretrain: {steps: none}", "pretrain.steps", f"{INTEGER}, is 'none'."),
        ("pretrain: {steps: {bf16: 文}}", "pretrain.steps.bf16", f"{INTEGER}, is '文'."),
        ("pretrain: {document_mask: maybe}", "pretrain.document_mask", "should be true or false, is 'maybe'."),
        (
            "ingest: {sources: [{reader: jsonl, paths: '*', text: 5}]}",
            "ingest.sources[0].fields.text", "should be a name or a list of names, is 5.",
        ),
        (
            "cluster: {beam: {options: {a: {b: 1}}}}",
            "cluster.beam.options.a", "should be text, a number, true, false or a list of texts, is {'b': 1}.",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_said_once(text: str, path: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"name: c\nworkdir: work\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "c.yaml")
    problems = [line.partition("c.yaml:")[2] for line in str(raised.value).splitlines()]
    assert [problem for problem in problems if "should be" in problem] == [f"3: {path}: {message}"]


def test_no_section_leaves_the_choice_between_types_to_pydantic() -> None:
    """Its messages name every type, by names such as constrained-int."""
    for package in (pipeline, training, cluster):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "section" in module.name.rpartition(".")[2]:
                importlib.import_module(module.name)
    packages = {package.__name__ for package in (pipeline, training, cluster)}
    sections = [section for section in _below(Section) if section.__module__.partition(".")[0] in packages]
    assert len(sections) > 50
    assert [section.__name__ for section in sections if any(_unions(section, section.__pydantic_core_schema__))] == []


def _below(section: type[Section]) -> Iterator[type[Section]]:
    for child in section.__subclasses__():
        yield child
        yield from _below(child)


def _unions(section: type[Section], schema: Any) -> Iterator[bool]:
    """One item for every union in the schema of a section that no validator of ours surrounds; not those of others."""
    if isinstance(schema, dict) and schema.get("type") == SAYS_IT_ITSELF:
        return
    if isinstance(schema, dict) and schema.get("cls", section) is not section:
        return
    if isinstance(schema, dict):
        if schema.get("type") == "union":
            yield True
        for value in schema.values():
            yield from _unions(section, value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from _unions(section, value)
