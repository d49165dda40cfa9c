"""The artifact that a user names: by its folder, or by a work directory with one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.core.manifest import Manifest


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """publish("pretrain", "model", "a") → the folder of an artifact without files."""

    def make(stage: str, kind: str, fingerprint: str) -> Path:
        manifest = Manifest(stage, 1, fingerprint, kind, {}, {}, (), {}, "", "")
        folder = tmp_path / "store" / stage / fingerprint
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", manifest.to_dict())
        return folder

    return make


def test_the_folder_of_an_artifact_names_it_whatever_its_kind(publish: Callable[..., Path]) -> None:
    folder = publish("pack", "tokens", "a")
    assert Artifact.from_user_path(str(folder), "pretrain.init").uri == str(folder)


def test_a_work_directory_names_its_only_model_whatever_stage_made_it(
    publish: Callable[..., Path], tmp_path: Path
) -> None:
    publish("pack", "tokens", "a")
    model = publish("finetune", "model", "b")
    assert Artifact.from_user_path(str(tmp_path), "pretrain.init").uri == str(model)


def test_a_work_directory_with_models_of_two_stages_lists_both(publish: Callable[..., Path], tmp_path: Path) -> None:
    publish("pretrain", "model", "a")
    publish("微调", "model", "b")
    with pytest.raises(UserError, match=r"pretrain.init: .* holds several models. Name one of\n") as caught:
        Artifact.from_user_path(str(tmp_path), "pretrain.init")
    assert f"{tmp_path}/store/pretrain/a" in str(caught.value)
    assert f"{tmp_path}/store/微调/b" in str(caught.value)


def test_a_work_directory_without_a_model_is_a_user_error(publish: Callable[..., Path], tmp_path: Path) -> None:
    publish("pack", "tokens", "a")
    with pytest.raises(UserError, match=r"^pretrain.init: no artifact in .* Train it first, or name its folder.$"):
        Artifact.from_user_path(str(tmp_path), "pretrain.init")
