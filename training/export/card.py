"""The model card: the model, its training data, and the artifacts before it. It holds no time, path or host name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject, JsonValue, read_json
from pipeline.core.inputs import Inputs
from pipeline.core.manifest import Manifest, as_list

SPLITS = "splits.json"


@dataclass(frozen=True)
class Card:
    """What the card says beside the model itself. `splits`: from the pack stage; `lineage`: first stage first."""

    params: JsonObject
    numerics: Mapping[str, object] | None
    splits: JsonObject
    lineage: tuple[Manifest, ...]

    @classmethod
    def of(cls, inputs: Inputs) -> Card:
        """From a job's inputs; earlier artifacts are read from the same store, as far as they still exist."""
        tokens = inputs.single("tokens")
        model = inputs.single("model")
        splits = read_json(tokens.file(SPLITS)) if tokens.has(SPLITS) else {}
        return cls(model.manifest.params, model.manifest.numerics, splits, tuple(_manifests(inputs.every())))

    def text(
        self,
        *,
        title: str,
        figures: Mapping[str, str],
        use: str,
        library: str = "transformers",
        task: str | None = "text-generation",
    ) -> str:
        """README.md; `figures` are the rows of the table that describes the model.

        `use` shows how to load it, in a code block that runs in its folder.
        `library` and `task` are the Hugging Face Hub's names; no task where the Hub has no name for it.
        """
        languages = sorted(_languages_of(self.splits))
        metadata = {"library_name": library, "pipeline_tag": task, "language": languages}
        sections = [
            _front_matter(metadata), f"# {title}\n", use, "## Model\n", _table(("", ""), list(figures.items())),
            "## Training\n", _code(self.params), *self._numerics(), *self._data(), *self._lineage(), LIMITS,
        ]  # fmt: skip
        return "\n".join(sections)

    def _numerics(self) -> list[str]:
        return ["Computed on:\n", _code(self.numerics)] if self.numerics else []

    def _data(self) -> list[str]:
        rows = [
            (language, name, *(f"{counts[unit]:,}" for unit in ("documents", "tokens", "bytes")))
            for name, split in self.splits.items()
            for language, counts in split["languages"].items()
        ]
        return ["## Data\n", _table(("language", "split", "documents", "tokens", "bytes"), rows)] if rows else []

    def _lineage(self) -> list[str]:
        rows = [(manifest.stage, f"`{manifest.fingerprint}`", *_in_and_out(manifest)) for manifest in self.lineage]
        return ["## Lineage\n", LINEAGE, _table(("stage", "fingerprint", "in", "out"), rows)]


def _manifests(artifacts: list[Artifact]) -> list[Manifest]:
    """The manifests of the artifacts and of all before them, each after those of its inputs."""
    manifests: dict[str, Manifest] = {}

    def visit(artifact: Artifact) -> None:
        if artifact.manifest.fingerprint in manifests:
            return
        for stage, fingerprints in sorted(artifact.manifest.inputs.items()):
            for fingerprint in as_list(fingerprints):
                if before := artifact.sibling(stage, fingerprint):
                    visit(before)
        manifests[artifact.manifest.fingerprint] = artifact.manifest

    for artifact in sorted(artifacts, key=lambda artifact: artifact.manifest.stage):
        visit(artifact)
    return list(manifests.values())


def _languages_of(splits: JsonObject) -> set[str]:
    """The languages of the corpus that have a code of ISO 639."""
    return {language for split in splits.values() for language in split["languages"] if len(language) in (2, 3)}


def _in_and_out(manifest: Manifest) -> tuple[str, str]:
    read, written = manifest.counts.get("in"), manifest.counts.get("out")
    return _grouped(read), _grouped(written)


def _grouped(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _front_matter(metadata: Mapping[str, str | list[str] | None]) -> str:
    # JSON is YAML
    lines = [f"{key}: {json.dumps(value)}" for key, value in metadata.items() if value]
    return "\n".join(["---", *lines, "---", ""])


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(value: JsonValue) -> str:
    return f"```json\n{json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)}\n```\n"


LINEAGE = """\
What an artifact is found by: sha256 over its stage's version and parameters and the fingerprints of its inputs.
"""

LIMITS = """\
## Limits

It repeats what its texts say, errors and prejudices included, and makes up the rest. The texts keep their licences;
this card grants none.
"""
