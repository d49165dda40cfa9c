"""What a worker that trains is given: one frozen value, written as JSON and read again at the worker's border."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from training.section import Pretrain

# the fields that are not plain JSON
PATHS = ("folder", "scratch", "metrics", "tokenizer")
PATH_LISTS = ("train", "validation", "counts")


@dataclass(frozen=True)
class TrainingSpec:
    """Absolute paths and plain values; a worker reads nothing else of its run.

    `folder` takes the results, `scratch` is shared by stages, `metrics` is for people. `train` and `validation` are
    shards of rows of `length` tokens, of which `digest` is the artifact's; `counts` are shards of co-occurrences.
    `languages`: training tokens by language. `externals`: folders of artifacts of other runs, by what they are for.
    """

    stage: str
    section: Pretrain
    seed: int
    threads: int
    folder: Path
    scratch: Path
    metrics: Path
    progress: str
    tokenizer: Path
    vocabulary: int
    length: int
    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    digest: str
    languages: dict[str, int] = field(default_factory=dict)
    counts: tuple[Path, ...] = ()
    counts_digest: str = ""
    externals: dict[str, Path] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        plain |= {name: str(plain[name]) for name in PATHS}
        plain |= {name: [str(path) for path in plain[name]] for name in PATH_LISTS}
        plain["externals"] = {name: str(folder) for name, folder in self.externals.items()}
        return {**plain, "section": self.section.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrainingSpec:
        given = dict(value)
        given |= {name: Path(given[name]) for name in PATHS}
        given |= {name: tuple(Path(path) for path in given[name]) for name in PATH_LISTS}
        given["externals"] = {name: Path(folder) for name, folder in given["externals"].items()}
        given["section"] = Pretrain.model_validate(given["section"])
        return cls(**given)
