"""Early cut-off: reuses an artifact that was made from the same bytes, even if its inputs have other fingerprints.

If a stage gives the same bytes under other parameters, its fingerprint changes all the same, and so do those of later
stages. Before a step runs, the store is searched for an artifact of the same stage, version and parameters whose inputs
had the same bytes. The artifact is used unchanged; its manifest records its own inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonValue, canonical_json
from pipeline.core.manifest import Manifest, StageHashes, as_list
from pipeline.core.stage import StageSpec
from pipeline.core.store import Store

StageArtifacts = Mapping[str, Sequence[Artifact]]
"""Stage → its artifacts, in the order of their parts."""


def same_bytes(
    spec: StageSpec, params: Mapping[str, JsonValue], inputs: StageArtifacts, others: StageHashes, store: Store
) -> Artifact | None:
    """The newest artifact made of the same bytes with the same parameters; `others`: other inputs by digest."""
    digests: StageHashes = {**others, **{stage: _one_or_many(artifacts) for stage, artifacts in inputs.items()}}
    canonical_params = canonical_json(params)
    for artifact in store.all(spec.name):
        manifest = artifact.manifest
        if manifest.version != spec.version or manifest.inputs.keys() != digests.keys():
            continue
        if canonical_json(manifest.params) != canonical_params or _digests_of(manifest, inputs, store) != digests:
            continue
        if _same_params(spec, manifest, inputs, store):
            return artifact
    return None


def _one_or_many(artifacts: Sequence[Artifact]) -> str | list[str]:
    digests = [artifact.manifest.digest for artifact in artifacts]
    return digests[0] if len(digests) == 1 else digests


def _digests_of(manifest: Manifest, inputs: StageArtifacts, store: Store) -> StageHashes:
    """The digests of the inputs: from the manifest, or from the store if an earlier release wrote the manifest."""
    if manifest.input_digests:
        return manifest.input_digests
    digests: StageHashes = dict(manifest.inputs)
    for stage in inputs:
        artifacts = _input_artifacts(stage, manifest, store)
        digests[stage] = _one_or_many(artifacts) if artifacts else "unknown"
    return digests


def _input_artifacts(stage: str, manifest: Manifest, store: Store) -> list[Artifact]:
    """The artifacts of a stage among the inputs; none if one of them is missing from the store."""
    artifacts = [store.find(stage, fingerprint) for fingerprint in as_list(manifest.inputs[stage])]
    return [artifact for artifact in artifacts if artifact is not None] if None not in artifacts else []


def _same_params(spec: StageSpec, manifest: Manifest, inputs: StageArtifacts, store: Store) -> bool:
    """Whether the parameters of inputs that the stage reads beside their files are equal too."""
    for kind, _, name in (param.partition(".") for param in spec.input_params):
        for stage, now in inputs.items():
            if all(artifact.manifest.kind != kind for artifact in now):
                continue
            then = _input_artifacts(stage, manifest, store)
            if [_params(artifact, name) for artifact in then] != [_params(artifact, name) for artifact in now]:
                return False
    return True


def _params(artifact: Artifact, name: str) -> JsonValue:
    params = artifact.manifest.params
    return params if name == "*" else params.get(name)
