"""Mistakes in a configuration: all at once, with their lines, and a suggestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.config import Component, Section, UserPath, component, validate
from pipeline.core.errors import ConfigError
from pipeline.core.registry import Entry, Registry
from pipeline.core.yaml_tree import YamlTree, parse_tree, read_tree, scalar, set_path


class Zero(Section):
    stage: int = 2


ENGINES: Registry[Any] = Registry("engine", (Entry("zero", f"{__name__}:Zero"), Entry("plain")))


class Train(Section):
    steps: int = 10
    lr: float = 1e-3
    batch_tokens: int = 1024
    engine: component(ENGINES) = Component(name="plain")  # type: ignore[valid-type]


class Range(Section):
    min_rows: int | None = 3
    max_rows: int | None = None
    max_other: float = 1.0


class Whole(Section):
    name: str
    range: Range = Range()
    train: Train = Train()
    items: list[Train] = []


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "Zero", Zero, raising=False)


def parsed(text: str) -> YamlTree:
    return parse_tree(text, YamlTree("x.yaml"))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(parsed(text), Whole)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [("6e-4", 6e-4), ("no", "no"), ("on", "on"), ("true", True), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"),
     ("", None), ("~", None), ("1.", 1.0), (".5", 0.5), ("1:30", "1:30"),
     ("2026-11-24", "2026-11-24"), ("-3", -3), ("中文", "中文")],
)  # fmt: skip
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value and type(scalar(text)) is type(value)


def test_all_mistakes_are_told_at_once_with_line_and_suggestion() -> None:
    messages = problems("train:\n  stepps: 3\n  lr: fast\n  engine: {zero: {stag: 1}}\n")
    assert messages == [
        "x.yaml:1: name: is missing.",
        "x.yaml:2: train.stepps: unknown key. Did you mean 'steps'?",
        "x.yaml:3: train.lr: should be a valid number, unable to parse string as a number, is 'fast'.",
        "x.yaml:4: train.engine.stag: unknown key. Did you mean 'stage'?",
    ]


def test_a_least_above_its_most_is_told_where_it_stands() -> None:
    assert problems("name: a\nrange:\n  max_rows: 2\n  min_rows: 4\n") == [
        "x.yaml:4: range.min_rows: is 4, above max_rows (2): no value satisfies both."
    ]
    for limits in ("{min_rows: 2, max_rows: 2}", "{min_rows: null, max_rows: 1}", "{min_rows: 9, max_other: 0}"):
        validate(parsed(f"name: a\nrange: {limits}"), Whole)


def test_an_unknown_component_is_told_with_the_known_ones() -> None:
    assert problems("name: a\ntrain: {engine: zeroo}")[0] == (
        "x.yaml:2: train.engine: unknown engine 'zeroo'. Did you mean 'zero'?"
    )


@pytest.mark.parametrize("text", ["zero", "{zero: {stage: 2}}", "{name: zero, stage: 2}", "{zero: }"])
def test_a_component_may_be_written_in_three_ways(text: str) -> None:
    config = validate(parsed(f"name: a\ntrain: {{engine: {text}}}"), Whole)
    assert config.train.engine == Component(name="zero", options={"stage": 2})
    assert config.model_dump()["train"]["engine"] == {"zero": {"stage": 2}}, "and is saved in one"
    assert validate(YamlTree("resolved", config.model_dump()), Whole) == config


def test_a_repeated_key_names_both_lines() -> None:
    assert problems("name: a\ntrain: {}\nname: b") == ["x.yaml:3: name: is there twice (first on line 1)."]


def test_variables_are_expanded_and_a_missing_one_is_an_error_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "zh")
    monkeypatch.delenv("NOBODY", raising=False)
    tree = parsed("name: gpt-${WHO}\ntrain:\n  steps: '${NOBODY:-7}'\n  lr: ${NOBODY:-6e-4}")
    assert tree.data == {"name": "gpt-zh", "train": {"steps": "7", "lr": 6e-4}}
    assert problems("\nname: ${NOBODY}") == [
        "x.yaml:2: name: the environment variable NOBODY is not set. Set it or give ${NAME:-default}."
    ]


def test_expanded_secrets_are_remembered_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET_KEY", "hush")
    assert parsed("name: a\nkey: ${S3_SECRET_KEY}").secrets == {("key",): "${S3_SECRET_KEY}"}


def test_overrides_reach_into_mappings_and_lists() -> None:
    tree = parsed("name: a\nitems: [{steps: 1}, {steps: 2}]")
    for text in ("train.lr=6e-4", "items[1].steps=5", "train.engine.zero.stage=3", "name=no"):
        set_path(tree, text)
    config = validate(tree, Whole)
    assert (config.train.lr, config.items[1].steps, config.train.engine.options, config.name) == (
        6e-4, 5, {"stage": 3}, "no",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["train.lr", "=3", "items[9].steps=1"])
def test_a_wrong_override_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="command line"):
        set_path(parsed("name: a\nitems: []"), text)


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\t- x", "!!python/object:os.system {}"])
def test_what_is_not_yaml_is_one_clear_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        validate(parsed(text), Whole)


def test_aliases_of_aliases_are_bounded() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="more than"):
        parsed("\n".join(lines))


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tree(tmp_path / "none.yaml")


class Paths(Section):
    folder: UserPath = "work"
    files: list[UserPath] = []


def test_a_tilde_at_the_beginning_of_a_path_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/铁匠")
    paths = Paths(folder="~/work", files=["~", "~/数据/*.jsonl", "./~/x", "a/~/b", "s3://b/~x"])
    assert paths.folder == "/home/铁匠/work" and Paths().folder == "work"
    assert paths.files == ["/home/铁匠", "/home/铁匠/数据/*.jsonl", "./~/x", "a/~/b", "s3://b/~x"]


def test_the_home_of_a_user_who_is_not_there_is_told_with_its_line() -> None:
    tree = parse_tree("folder: ~nobody-of-this-name/x\n", YamlTree("a.yaml"))
    with pytest.raises(ConfigError, match=r"a.yaml:1: folder: '~nobody-of-this-name/x': .* has no home folder here"):
        validate(tree, Paths)


@pytest.mark.parametrize("text", ['name: "caf\\ud83d"\n', "name: ${BROKEN}\n"])
def test_half_a_character_is_a_mistake_of_its_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "caf\udce9")
    tree = parse_tree(text, YamlTree("x.yaml"))
    (problem,) = tree.problems
    assert str(problem).startswith("x.yaml:1: name: is not Unicode text")
    assert not parse_tree('name: "café 😀"\n', YamlTree("x.yaml")).problems
