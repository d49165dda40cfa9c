"""The artifact that a user names: by its folder or URL, or by a work directory that holds one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.core.artifact import Artifact, Remote
from pipeline.core.cache import Cache
from pipeline.core.errors import UserError
from pipeline.core.file_systems import refuse_secrets
from pipeline.core.manifest import NAME
from pipeline.core.objects import ObjectStore
from pipeline.core.places import CACHE, local_folder

MODEL = "model"


def artifact_named(place: str, option: str) -> Artifact:
    """The artifact at a path or URL, or the only model in the work directory there. `option` is for messages.

    Raises: UserError when there is no artifact, or when the work directory holds several models.
    """
    if "://" in place:
        if problem := refuse_secrets(place):
            raise UserError(f"{option}: {problem}. Credentials come from the environment: take it out of the URL.")
        return _at_url(place.rstrip("/"), option)
    path = Path(place).absolute()
    if (path / NAME).exists():
        return Artifact.at(path)
    artifacts = [Artifact.at(manifest.parent) for manifest in sorted(path.glob(f"store/*/*/{NAME}"))]
    return _only_model(artifacts, str(path), place, option)


def _at_url(url: str, option: str) -> Artifact:
    root, _, key = url.rpartition("/store/")
    if root and key.count("/") == 1:
        try:
            return Artifact.at(Remote.at(url, _cache(root)))
        except FileNotFoundError as error:
            raise _none_at(url, option) from error
    keys = [key for key in ObjectStore(url).list("store") if key.endswith(f"/{NAME}") and key.count("/") == 3]
    artifacts = [Artifact.at(Remote.at(f"{url}/{key.removesuffix(f'/{NAME}')}", _cache(url))) for key in keys]
    return _only_model(artifacts, url, url, option)


def _cache(url: str) -> Cache:
    return Cache(local_folder(url) / CACHE)


def _only_model(artifacts: Sequence[Artifact], root: str, place: str, option: str) -> Artifact:
    models = [artifact for artifact in artifacts if artifact.manifest.kind == MODEL]
    if not models:
        raise _none_at(place, option)
    if len(models) > 1:
        listed = "\n".join(f"  {place}{model.uri.removeprefix(root)}" for model in models)
        raise UserError(f"{option}: {place} holds several models. Name one of\n{listed}")
    return models[0]


def _none_at(place: str, option: str) -> UserError:
    return UserError(f"{option}: no artifact in {place} ({NAME} is missing). Train it first, or name its folder.")
