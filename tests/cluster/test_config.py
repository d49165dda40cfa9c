"""The whole YAML as one type: every mistake at once with its line, overrides, what is written down and what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import yaml

from cluster.config import LoadedConfig, load
from cluster.flow import Flow
from cluster.sections import model_of, stage_table
from pipeline.core.config import Section
from pipeline.core.errors import ConfigError
from pipeline.core.stage import StageSpec
from pipeline.core.yaml_tree import YamlTree


class Dig(Section):
    """Where the test's ore comes from."""

    place: str = "mine"
    depth: int = 3
    address: str = ""


class Smelt(Section):
    fuel: Literal["charcoal", "coke"] = "charcoal"
    heats: list[int] = [1200]


SPECS = (
    StageSpec("dig", 1, "dig", (), "documents", "task", "m:run", f"{__name__}:Dig"),
    StageSpec("smelt", 1, "smelt", ("documents",), "model", "task", "m:run", f"{__name__}:Smelt"),
)
Read = Callable[..., LoadedConfig]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """read(text, *overrides) → the loaded configuration."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Dig.__module__])

    def make(text: str, *overrides: str, checks: tuple[Callable[[Flow, YamlTree], None], ...] = ()) -> LoadedConfig:
        path = tmp_path / "ore.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides, specs=SPECS, checks=checks)

    return make


def told(read: Read, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    return [line.partition("ore.yaml:")[2] or line for line in str(caught.value).splitlines()]


def test_every_mistake_is_told_at_once_with_its_line(read: Read) -> None:
    text = "name: 铁\nsed: 4\ndig:\n  depht: 5\n  depth: deep\nsmelt:\n  fuel: wood\n  heats: [1, two]\n"
    found = told(read, text)
    assert found[0].startswith("2: sed: unknown key. Did you mean 'seed'?")
    assert found[1].startswith("4: dig.depht: unknown key. Did you mean 'depth'?")
    assert found[2].startswith("5: dig.depth: should be")
    assert found[3].startswith("7: smelt.fuel: should be")
    assert found[4].startswith("8: smelt.heats[1]: should be")
    assert len(found) == 5


def test_a_cross_check_is_told_together_with_a_typo_elsewhere(read: Read, tmp_path: Path) -> None:
    def check(flow: Flow, tree: YamlTree) -> None:
        smelt = flow.config.section("smelt")
        if isinstance(smelt, Smelt) and smelt.fuel == "coke":
            tree.problem(("smelt", "fuel"), "is not to be had here.")

    with pytest.raises(ConfigError) as caught:
        read("dig: {depht: 1}\nsmelt:\n  fuel: coke\n", checks=(check,))
    assert "dig.depht" in str(caught.value) and "ore.yaml:3: smelt.fuel: is not to be had here." in str(caught.value)


@pytest.mark.parametrize(
    ("workers", "sentences"),
    [
        ("many", ["workers: should be a valid integer"]),
        ("{min: 3, max: 2}", ["workers: min is 3, and max is 2"]),
        ("{min: 0, mx: 3}", ["workers.max: is missing", "workers.min: should be", "workers.mx: unknown key. Did you"]),
    ],
)
def test_a_value_or_a_section_is_judged_as_what_was_written(read: Read, workers: str, sentences: list[str]) -> None:
    found = told(read, f"dig: {{}}\ncluster: {{workers: {workers}}}\n")
    assert len(found) == len(sentences), found
    for line, sentence in zip(found, sentences, strict=True):
        assert line.startswith(f"2: cluster.{sentence}")


def test_a_mistake_in_an_override_names_the_command_line(read: Read) -> None:
    assert told(read, "dig: {}\n", "dig.depth=deep")[0].startswith("command line: dig.depth: should be")


def test_an_override_replaces_one_value_and_keeps_the_rest(read: Read) -> None:
    loaded = read("dig: {place: 矿山, depth: 4}\nsmelt: {}\n", "dig.depth=9", "smelt.heats=[7, 8]")
    assert loaded.resolved()["dig"] == {"place": "矿山", "depth": 9, "address": ""}
    assert loaded.resolved()["smelt"]["heats"] == [7, 8]


def test_a_section_left_out_leaves_its_stage_out_and_an_empty_one_means_defaults(read: Read) -> None:
    assert [step.id for step in read("dig:\n").steps] == ["dig"]
    assert [step.id for step in read("dig: {}\nsmelt:\n").steps] == ["dig", "smelt"]
    assert "smelt" not in read("dig:\n").resolved()


@pytest.mark.parametrize("word", ["null", "~", "Null"])
def test_the_word_null_leaves_a_section_out_on_the_command_line_and_in_the_file(read: Read, word: str) -> None:
    assert [step.id for step in read("dig: {depth: 7}\nsmelt: {fuel: coke}\n", f"smelt={word}").steps] == ["dig"]
    assert [step.id for step in read("dig:\nsmelt:\n", f"smelt={word}").steps] == ["dig"]
    assert [step.id for step in read(f"dig:\nsmelt: {word}\n").steps] == ["dig"]
    assert "smelt" not in read("dig:\nsmelt:\n", f"smelt={word}").resolved()


def test_an_override_of_a_section_left_out_by_null_brings_it_back(read: Read) -> None:
    assert read("dig:\nsmelt: null\n", "smelt=").config.section("smelt") == Smelt()
    assert read("dig:\nsmelt: null\n", "smelt={fuel: coke}").config.section("smelt") == Smelt(fuel="coke")
    assert read("dig:\nsmelt: null\n", "smelt.fuel=coke").config.section("smelt") == Smelt(fuel="coke")


def test_cluster_null_means_the_defaults_of_this_machine(read: Read) -> None:
    assert read("dig:\ncluster: {workers: 4}\n", "cluster=null").config.cluster.workers == 1


def test_the_resolved_configuration_reads_back_as_itself(read: Read) -> None:
    loaded = read("name: 铁-1\ndig: {place: '6e-4'}\nsmelt: {heats: [1200, 1300]}\nseed: 5\n")
    again = read(loaded.resolved_yaml())
    assert again.config == loaded.config
    assert again.resolved_yaml() == loaded.resolved_yaml()


def test_the_order_of_the_resolved_file_is_the_order_of_the_flow(read: Read) -> None:
    loaded = read("smelt: {}\ncluster: {}\ndig: {}\n")
    assert list(yaml.safe_load(loaded.resolved_yaml())) == ["name", "workdir", "seed", "dig", "smelt", "cluster"]


def test_a_secret_is_used_and_never_written(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_TOKEN", "hunter2")
    monkeypatch.setenv("MINE_PLACE", "north")
    loaded = read("dig: {place: '${MINE_PLACE}', address: 's3://me:${MINE_TOKEN}@host'}\n")
    assert loaded.config.section("dig") == Dig(place="north", address="s3://me:hunter2@host")
    assert "hunter2" not in loaded.resolved_yaml() and "${MINE_TOKEN}" in loaded.resolved_yaml()
    assert loaded.resolved()["dig"]["place"] == "north"
    assert "hunter2" not in "\n".join(told(read, "dig: {depth: '${MINE_TOKEN}'}\n"))


def test_a_secret_in_an_override_is_never_written_and_one_that_is_replaced_is_forgotten(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE_TOKEN", "hunter2")
    loaded = read("dig: {}\n", "dig.address=s3://me:${MINE_TOKEN}@host")
    assert loaded.config.section("dig") == Dig(address="s3://me:hunter2@host")
    assert loaded.resolved()["dig"]["address"] == "s3://me:${MINE_TOKEN}@host"
    loaded = read("dig: {address: '${MINE_TOKEN}'}\n", "dig.address=public")
    assert loaded.secrets == {} and loaded.resolved()["dig"]["address"] == "public"


def test_a_variable_of_an_override_that_is_not_set_is_reported(read: Read) -> None:
    assert told(read, "dig: {}\n", "dig.place=${NOT_SET_HERE}") == [
        "command line: dig.place: the environment variable NOT_SET_HERE is not set. Set it or give ${NAME:-default}."
    ]


@pytest.mark.parametrize("name", ["a/b", "", "x" * 81])
def test_a_name_must_be_fit_for_a_folder(read: Read, name: str) -> None:
    assert "name: should" in told(read, f"name: '{name}'\ndig: {{}}\n")[0]


CHECK = """
import sys
from pathlib import Path
from cluster.config import load
from cluster.plan import plan
from pipeline.core.store import Store
loaded = load(Path("own.yaml"), ["ingest.sources=[{reader: jsonl, paths: own.jsonl}]"])
plan(loaded, Store(loaded.workdir))
heavy = {"torch", "ray", "apache_beam", "transformers", "numba", "deepspeed", "tokenizers", "polars"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_check_and_plan_import_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "铁 iron"}\n', encoding="utf-8")
    (tmp_path / "own.yaml").write_text((Path(__file__).parents[2] / "configs/jsonl.yaml").read_text(encoding="utf-8"))
    done = subprocess.run([sys.executable, "-c", CHECK], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


TILDES = {
    "workdir": "workdir: ~/work",
    "paths": "ingest: {sources: [{reader: jsonl, paths: [~/a.jsonl]}, {reader: plain, paths: ~/书}]}",
    "init": "pretrain: {init: ~/model}",
    "init_embeddings": "pretrain: {init_embeddings: {artifact: ~/vectors}}",
    "hf": "pretrain: {model: {hf: {folder: ~/model}}}",
    "evaluate": "evaluate: {tasks: [{similarity: {files: ~/pairs.txt}}, {embeddings: {pairs: [~/sts.tsv]}}]}",
}


@pytest.mark.parametrize("place", TILDES)
def test_a_tilde_means_the_home_folder_wherever_a_path_is_written(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = model_of(stage_table()).model_validate(yaml.safe_load(TILDES[place]))
    written = json.dumps(config.model_dump(mode="json"))
    assert written.count(f"{tmp_path}/home/") == TILDES[place].count("~") and "~" not in written


def test_a_tokenizer_of_the_home_folder_is_looked_for_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "c.yaml").write_text("tokenizer: {kind: file, path: ~/tokenizer.json}\n")
    with pytest.raises(ConfigError, match=f"tokenizer.path: .*{tmp_path}/tokenizer.json"):
        load(tmp_path / "c.yaml", checks=())
