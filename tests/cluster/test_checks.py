"""What a machine or two sections cannot do together is told before any work, in one sentence with the next step."""

from __future__ import annotations

import importlib
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster import checks
from cluster.commands.check import check
from cluster.config import load
from cluster.launchers import requirements
from pipeline.core import file_systems
from pipeline.core.errors import ConfigError

GOOD = """\
workdir: {folder}/work
ingest: {{sources: [{{reader: jsonl, paths: "{folder}/*.jsonl"}}]}}
clean: {{}}
dedupe: {{}}
tokenizer: {{vocabulary: 512}}
pack: {{length: 64}}
pretrain: {{batch_tokens: 1024, model: {{gpt: {{layers: 1, heads: 2, width: 32}}}}}}
evaluate: {{}}
export: {{}}
"""
Wrong = Callable[..., str]


@pytest.fixture
def wrong(tmp_path: Path) -> Wrong:
    """wrong("a.b=c", …) → what is told of an otherwise good configuration; an empty text if nothing is."""
    (tmp_path / "铁.jsonl").write_text('{"text": "铁 iron"}\n', encoding="utf-8")
    (tmp_path / "good.yaml").write_text(GOOD.format(folder=tmp_path), encoding="utf-8")

    def ask(*overrides: str) -> str:
        try:
            load(tmp_path / "good.yaml", overrides)
        except ConfigError as error:
            return str(error)
        return ""

    return ask


def test_a_good_configuration_passes_every_check(wrong: Wrong) -> None:
    assert wrong() == ""


def test_the_checks_list_raw_files_once(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, list_sources = [], checks._raw_sources
    monkeypatch.setattr(checks, "_raw_sources", lambda flow: listed.append(flow) or list_sources(flow))
    assert wrong() == "" and len(listed) == 1


def test_too_little_disk_is_told_with_what_is_needed(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000, total=2_000_000, used=0))
    told = wrong()
    assert "workdir: not enough disk space: 1 MB free in" in told and "about 268 MB needed" in told
    assert told.endswith("Free space, or choose another workdir.")


def test_a_work_directory_behind_a_url_is_probed(wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "scratch"))
    assert wrong(f"workdir=file://{tmp_path}/桶") == "" and list((tmp_path / "桶").rglob("*")) == [
        tmp_path / "桶/probe"
    ]
    (tmp_path / "file").touch()
    assert "workdir: the store cannot be used: " in wrong(f"workdir=file://{tmp_path}/file/w")
    assert "workdir: the store cannot be used: foo:// is no scheme that fsspec knows." in wrong("workdir=foo://b/w")
    assert "chained URLs are not supported" in wrong("workdir=simplecache::s3://b/w")


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("s3://key:hunter2@bucket/w", "a user and a password"), ("s3://bucket/w?sig=hunter2", "the parameter 'sig'"),
        ("abfs://box@host/w?hunter2", "parameters"),
    ],
)  # fmt: skip
def test_credentials_in_the_url_are_refused_and_not_repeated(wrong: Wrong, url: str, part: str) -> None:
    message = wrong(f"workdir={url}")
    assert f"workdir: the URL holds {part}" in message and "take it out of the URL" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("scheme", "module", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("abfs", "adlfs", "azure")]
)
def test_a_store_without_its_library_says_what_installs_it(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, extra: str
) -> None:
    _uninstall(monkeypatch, scheme, module)
    assert f"{scheme}:// needs the extra {extra}: pip install 'bloomery[{extra}]'" in wrong(f"workdir={scheme}://b/w")


def _uninstall(monkeypatch: pytest.MonkeyPatch, scheme: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, scheme, raising=False)
    file_systems._open.cache_clear()


def test_a_source_without_a_file_is_told(wrong: Wrong, tmp_path: Path) -> None:
    assert f"{tmp_path}/*.txt: no file matches." in wrong(f"ingest.sources.0.paths={tmp_path}/*.txt")


def test_a_text_field_that_the_first_records_do_not_have_is_told_with_its_source(wrong: Wrong, tmp_path: Path) -> None:
    told = wrong("ingest.sources.0.text=content")
    assert "ingest.sources[0]: none of the first 1 records has a field 'content'; they have: text." in told
    assert wrong("ingest.sources.0.text=text") == ""


def test_an_address_without_its_library_is_told_with_its_line(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _uninstall(monkeypatch, "s3", "s3fs")
    (tmp_path / "remote.yaml").write_text('ingest:\n  sources:\n    - {reader: jsonl, paths: "s3://bucket/*.jsonl"}\n')
    with pytest.raises(ConfigError, match=r"remote.yaml:3: ingest.sources\[0\]: s3:// needs the extra s3"):
        load(tmp_path / "remote.yaml")
    assert "foo:// is no scheme" in wrong("ingest.sources.0.paths=foo://bucket/x")


def test_a_link_to_nothing_is_told_with_its_name(wrong: Wrong, tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to("nowhere")
    assert f"ingest.sources[0]: {tmp_path}/gone.jsonl is a link to nothing (nowhere)." in wrong()


def test_a_batch_of_broken_rows_is_told_with_the_nearest_that_fits(wrong: Wrong) -> None:
    assert "batch_tokens 1,000 is not a whole number of rows of 64 tokens" in wrong("pretrain.batch_tokens=1000")


def test_a_batch_that_workers_share_unevenly_is_no_problem_and_its_cost_is_told(
    wrong: Wrong, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(tmp_path / "good.yaml", ["cluster.workers=3"])
    printed = capsys.readouterr().out
    assert "good.yaml:7: pretrain.batch_tokens: 16 rows a step are not shared evenly by 3 workers" in printed
    assert "12% more than its share" in printed and "no problems found" in printed
    check(tmp_path / "good.yaml", [])
    assert "evenly" not in capsys.readouterr().out


def test_rows_longer_than_the_context_are_told(wrong: Wrong) -> None:
    assert "pack.length: rows of 64 tokens do not fit the model's context of 32." in wrong(
        "pretrain.model.gpt.context=32"
    )


def test_special_tokens_around_a_row_need_their_place(wrong: Wrong) -> None:
    def asked(context: int, *more: str) -> str:
        model = f"pretrain.model={{family: bert, layers: 1, heads: 2, width: 32, context: {context}}}"
        return wrong(model, "tokenizer.kind=wordpiece", "evaluate.tasks=[perplexity]", *more)

    assert "pack.length: rows of 64 tokens and 2 special tokens do not fit the model's context of 64." in asked(64)
    assert asked(66) == ""
    assert "and 3 special tokens" in asked(66, "pretrain.objective={masked: {pairs: sentence_order}}")


def test_a_masked_model_needs_a_mask(wrong: Wrong) -> None:
    bert = ("pretrain.model={family: bert, layers: 1, heads: 2, width: 32}", "evaluate.tasks=[perplexity]")
    assert "masked prediction needs the pieces [CLS], [SEP] and [MASK]" in wrong(*bert)
    assert wrong(*bert, "tokenizer.specials=['[CLS]', '[SEP]', '[MASK]']") == ""


def test_a_model_that_no_format_knows_is_told_before_it_is_trained(wrong: Wrong) -> None:
    told = wrong("pretrain.model.gpt.norm=layer", "pretrain.model.gpt.qk_norm=true")
    assert "pretrain.model: no Hugging Face class computes this" in told


def test_a_stage_whose_input_nobody_makes_is_told_with_the_section_to_add(tmp_path: Path) -> None:
    (tmp_path / "gap.yaml").write_text(f"workdir: {tmp_path}\npretrain: {{batch_tokens: 1024}}\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "gap.yaml")
    told = "pretrain: the stage pretrain needs tokenizer and tokens; no earlier section makes it."
    assert f"{told} Add `tokenizer:` and `pack:`." in str(caught.value)


def test_a_configuration_without_a_stage_is_told(tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("name: nothing\n")
    with pytest.raises(ConfigError, match="the file has no stage to run. Write a configuration with: bloomery init"):
        load(tmp_path / "none.yaml")


def test_a_gpu_that_this_machine_does_not_have_is_named(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "visible_gpus", lambda: 0)
    text = wrong("cluster.gpus_per_worker=1")
    assert "cluster.gpus_per_worker: 1 worker with 1 GPU each; this machine has none." in text
    assert "gpus_per_worker: 0" in text


def test_an_address_of_ray_that_does_not_answer_is_named(wrong: Wrong) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    text = wrong("cluster.launcher=ray", f"cluster.address={address}")
    assert f"cluster.address: no Ray answers at {address} (Connection refused)." in text
