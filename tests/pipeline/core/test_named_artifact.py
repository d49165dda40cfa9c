"""The artifact that a user names: by its folder, or by a work directory with one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.core.manifest import Manifest, digest_of
from pipeline.core.named_artifact import artifact_named


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """publish("pretrain", "model", "a") → the folder of an artifact without files."""

    def make(stage: str, kind: str, fingerprint: str) -> Path:
        manifest = Manifest(stage, 1, fingerprint, kind, {}, {}, (), {}, digest_of(()), "")
        folder = tmp_path / "store" / stage / fingerprint
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", manifest.to_dict())
        return folder

    return make


def test_the_folder_of_an_artifact_names_it_whatever_its_kind(publish: Callable[..., Path]) -> None:
    folder = publish("pack", "tokens", "a")
    assert artifact_named(str(folder), "pretrain.init").uri == str(folder)


def test_a_work_directory_names_its_only_model_whatever_stage_made_it(
    publish: Callable[..., Path], tmp_path: Path
) -> None:
    publish("pack", "tokens", "a")
    model = publish("finetune", "model", "b")
    assert artifact_named(str(tmp_path), "pretrain.init").uri == str(model)


def test_a_work_directory_with_models_of_two_stages_lists_both(publish: Callable[..., Path], tmp_path: Path) -> None:
    publish("pretrain", "model", "a")
    publish("微调", "model", "b")
    with pytest.raises(UserError, match=r"pretrain.init: .* holds several models. Name one of\n") as caught:
        artifact_named(str(tmp_path), "pretrain.init")
    assert f"{tmp_path}/store/pretrain/a" in str(caught.value)
    assert f"{tmp_path}/store/微调/b" in str(caught.value)


def test_a_work_directory_without_a_model_is_a_user_error(publish: Callable[..., Path], tmp_path: Path) -> None:
    publish("pack", "tokens", "a")
    with pytest.raises(UserError, match=r"^pretrain.init: no artifact in .* Train it first, or name its folder.$"):
        artifact_named(str(tmp_path), "pretrain.init")


def test_a_url_names_an_artifact_or_the_only_model_of_a_work_directory(
    publish: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "scratch"))
    publish("pack", "tokens", "a")
    publish("pretrain", "model", "b")
    url = f"file://{tmp_path}"
    assert artifact_named(f"{url}/store/pack/a", "pretrain.init").manifest.kind == "tokens"
    assert artifact_named(f"{url}/", "pretrain.init").uri == f"{url}/store/pretrain/b"
    publish("微调", "model", "c")
    with pytest.raises(UserError, match=r"Name one of\n  file://.*/store/pretrain/b\n  file://.*/store/微调/c"):
        artifact_named(url, "pretrain.init")


@pytest.mark.parametrize("below", ["", "/store/pretrain/none"])
def test_a_url_without_an_artifact_is_a_user_error(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_SCRATCH", str(tmp_path / "scratch"))
    with pytest.raises(UserError, match=r"^pretrain.init: no artifact in file://"):
        artifact_named(f"file://{tmp_path}{below}", "pretrain.init")


def test_a_url_with_a_key_in_it_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"^pretrain.init: .*Credentials come from the environment: take it out of the URL.$"
    ) as caught:
        artifact_named("s3://AKIAEXAMPLE:secret@bucket/work", "pretrain.init")
    assert "secret@" not in str(caught.value)
