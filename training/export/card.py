"""The model card: what the model is, what it was trained on, which artifacts led to it. No time, no path, no host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.artifact import Artifact
from pipeline.core.files import read_json
from pipeline.core.manifest import Manifest, each
from pipeline.core.stage import Inputs

SPLITS = "splits.json"


@dataclass(frozen=True)
class Card:
    """What the card tells beside the model itself. `splits`: the pack stage's; `lineage`: the first stage first."""

    params: dict[str, Any]
    numerics: dict[str, Any] | None
    splits: dict[str, Any]
    lineage: tuple[Manifest, ...]

    @classmethod
    def of(cls, inputs: Inputs) -> Card:
        """From a job's inputs; what lies before them is read from the same store, as far as it is still there."""
        tokens, model = inputs.one("tokens"), inputs.one("model")
        splits = read_json(tokens.file(SPLITS)) if tokens.has(SPLITS) else {}
        return cls(model.manifest.params, model.manifest.numerics, splits, tuple(_lineage(inputs.every())))

    def text(
        self,
        *,
        title: str,
        figures: Mapping[str, str],
        use: str,
        library: str = "transformers",
        task: str | None = "text-generation",
    ) -> str:
        """README.md; `figures` are the rows of the table that says what the model is.

        `use` says how it is loaded, in a code block that runs in its folder.
        `library` and `task` are what the Hugging Face Hub calls them; no task where the Hub has no name for it.
        """
        languages = sorted(_sum_of(self.splits))
        front = {"library_name": library, "pipeline_tag": task, "language": languages}
        parts = [
            _front(front), f"# {title}\n", use, "## Model\n", _table(("", ""), list(figures.items())),
            "## Training\n", _code(self.params), *self._numerics(), *self._data(), *self._lineage_part(), LIMITS,
        ]  # fmt: skip
        return "\n".join(parts)

    def _numerics(self) -> list[str]:
        return ["Computed on:\n", _code(self.numerics)] if self.numerics else []

    def _data(self) -> list[str]:
        rows = [
            (language, split, *(f"{one[name]:,}" for name in ("documents", "tokens", "bytes")))
            for split, of_split in self.splits.items()
            for language, one in of_split["languages"].items()
        ]
        return ["## Data\n", _table(("language", "split", "documents", "tokens", "bytes"), rows)] if rows else []

    def _lineage_part(self) -> list[str]:
        rows = [(one.stage, f"`{one.fingerprint}`", *_in_and_out(one)) for one in self.lineage]
        return ["## Lineage\n", LINEAGE, _table(("stage", "fingerprint", "in", "out"), rows)]


def _lineage(artifacts: list[Artifact]) -> list[Manifest]:
    """The artifacts and all before them, each after its inputs."""
    found: dict[str, Manifest] = {}

    def visit(artifact: Artifact) -> None:
        if artifact.manifest.fingerprint in found:
            return
        for stage, fingerprints in sorted(artifact.manifest.inputs.items()):
            for fingerprint in each(fingerprints):
                if before := artifact.sibling(stage, fingerprint):
                    visit(before)
        found[artifact.manifest.fingerprint] = artifact.manifest

    for artifact in sorted(artifacts, key=lambda one: one.manifest.stage):
        visit(artifact)
    return list(found.values())


def _sum_of(splits: Mapping[str, Any]) -> set[str]:
    """The languages of the corpus that have a code of ISO 639."""
    return {language for one in splits.values() for language in one["languages"] if len(language) in (2, 3)}


def _in_and_out(manifest: Manifest) -> tuple[str, str]:
    found = [manifest.counts.get(name) for name in ("in", "out")]
    return tuple("" if value is None else f"{value:,}" for value in found)  # type: ignore[return-value]


def _front(front: Mapping[str, Any]) -> str:
    # JSON is YAML
    lines = [f"{key}: {json.dumps(value)}" for key, value in front.items() if value]
    return "\n".join(["---", *lines, "---", ""])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)}\n```\n"


LINEAGE = """\
What an artifact is found by: sha256 over its stage's version and parameters and the fingerprints of its inputs.
"""

LIMITS = """\
## Limits

It repeats what its texts say, errors and prejudices included, and makes up the rest. The texts keep their licences;
this card grants none.
"""
