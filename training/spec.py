"""The input of a training worker: one frozen dataclass, sent to the worker as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from pipeline.core.files import JsonObject, JsonValue
from training.section import Pretrain

# the fields that hold paths, which JSON has not
PATHS = ("folder", "scratch", "metrics", "tokenizer")
PATH_LISTS = ("train", "validation", "counts")


@dataclass(frozen=True)
class TrainingSpec:
    """Absolute paths and plain values; a worker reads nothing else of its run.

    Results go to `folder`, live figures to `metrics`; stages share `scratch`. `train` and `validation` are
    shards of rows of `length` tokens, of which `digest` is the artifact's; `counts` are shards of co-occurrences.
    `languages`: training tokens by language. `started`: the Unix time at which the stage's process was created, 0 if it
    has none. `externals`: folders of artifacts of other runs, by purpose.
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
    started: float = 0.0

    def to_dict(self) -> JsonObject:
        """The spec as JSON values."""
        plain = {field_.name: getattr(self, field_.name) for field_ in fields(self)}
        plain |= {name: str(plain[name]) for name in PATHS}
        plain |= {name: [str(path) for path in plain[name]] for name in PATH_LISTS}
        plain["externals"] = {name: str(folder) for name, folder in self.externals.items()}
        return {**plain, "section": self.section.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, value: Mapping[str, JsonValue]) -> TrainingSpec:
        options = dict(value)
        options |= {name: Path(options[name]) for name in PATHS}
        options |= {name: tuple(Path(path) for path in options[name]) for name in PATH_LISTS}
        options["externals"] = {name: Path(folder) for name, folder in options["externals"].items()}
        options["section"] = Pretrain.model_validate(options["section"])
        return cls(**options)
