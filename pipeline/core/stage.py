"""What a stage is (StageSpec, a line of a table) and what it is given when it runs (Job), and gives back (Outcome).

A spec holds import strings alone, so that planning loads neither Beam nor torch. A stage's code is one function
`run(job: Job) -> Outcome`; it writes under `job.folder`, files appear there by rename only, and what it does not name
in its Outcome is deleted at publication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.plugins import plugin_names, with_sources
from pipeline.core.progress import Progress
from pipeline.core.registry import load
from pipeline.core.shards import FileEntry

if TYPE_CHECKING:
    from pydantic import BaseModel

Kind = Literal["documents", "tokenizer", "tokens", "counts", "model", "scores", "files"]


@dataclass(frozen=True)
class StageSpec:
    """A stage by name: its section of the YAML, what it needs and makes, and the function that runs it.

    `params` names a function (section, seed) -> dict, what enters the fingerprint; None means the section as it is.
    `more_needs` names a function (section) -> further kinds that these options need; `externals` one (section) ->
    {what for: folder} of artifacts of other runs, which are inputs under that name, identified by their digest; `files`
    one (section) -> sources of the job: where the files lie whose content is in `params`. `plugins` names a function
    (section) -> names of the plug-ins that decide what the stage makes; None means all that the section names.
    A changed `version` makes every earlier artifact of the stage stale: raise it when the same params give other bytes.
    """

    name: str
    version: int
    section: str
    needs: tuple[Kind, ...]
    makes: Kind
    work: Literal["beam", "task", "gang"]
    run: str
    section_type: str
    params: str | None = None
    more_needs: str | None = None
    externals: str | None = None
    files: str | None = None
    plugins: str | None = None

    def needs_of(self, section: BaseModel) -> tuple[Kind, ...]:
        """Every kind that the stage needs with these options."""
        return self.needs if self.more_needs is None else (*self.needs, *load(self.more_needs)(section))

    def externals_of(self, section: BaseModel) -> dict[str, Artifact]:
        """Artifacts of other runs that these options name.

        Raises: UserError when a folder holds none.
        """
        named: dict[str, str] = {} if self.externals is None else load(self.externals)(section)
        return {name: Artifact.found(folder, f"{self.section}.{name}") for name, folder in named.items()}

    def params_of(self, section: BaseModel, seed: int) -> dict[str, Any]:
        """What enters the fingerprint, defaults filled, JSON-able; with the sources of plug-ins where there are any."""
        params = section.model_dump(mode="json") if self.params is None else load(self.params)(section, seed)
        return with_sources(params, plugin_names(section) if self.plugins is None else load(self.plugins)(section))


class Launcher(Protocol):
    """How a stage starts other processes, here or on a cluster. `target` is "module:function", specs are JSON-able."""

    def gang(self, target: str, spec: dict[str, Any], *, processes: int, job: Job) -> None:
        """Run `target(spec, report)` in `processes` processes that start and stop together."""

    def tasks(self, target: str, specs: list[dict[str, Any]], *, job: Job) -> list[Any]:
        """Run `target(spec)` for every spec; results in the order of the specs."""


@dataclass(frozen=True)
class Job:
    """One attempt at one artifact. `inputs` is by kind; nothing in `cluster` or `workers` may change a byte."""

    stage: str
    version: int
    kind: Kind
    run: str
    fingerprint: str
    params: dict[str, Any]
    seed: int
    inputs: dict[str, Artifact]
    folder: Path
    scratch: Path
    metrics: Path
    log: Path
    workers: int = 1
    cluster: dict[str, Any] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    input_fingerprints: dict[str, str] = field(default_factory=dict)
    attempt: int = 1
    progress: Progress = field(default_factory=Progress)
    launcher: str = "cluster.launchers:launcher"

    def launch(self) -> Launcher:
        """The launcher that the cluster section names; stages start processes through it and nothing else."""
        found: Launcher = load(self.launcher)(self.cluster)
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; inputs as paths, the progress end as its address."""
        paths = {name: str(getattr(self, name)) for name in ("folder", "scratch", "metrics", "log")}
        inputs = {kind: str(artifact.path) for kind, artifact in self.inputs.items()}
        plain = {k: v for k, v in self.__dict__.items() if k not in ("progress", "inputs", *paths)}
        return {**plain, **paths, "inputs": inputs, "progress": self.progress.address}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Job:
        fields = dict(value)
        for name in ("folder", "scratch", "metrics", "log"):
            fields[name] = Path(fields[name])
        fields["inputs"] = {kind: Artifact.at(Path(path)) for kind, path in fields["inputs"].items()}
        fields["progress"] = Progress(fields["progress"], fields["stage"])
        return cls(**fields)


@dataclass
class Outcome:
    """What a stage made: the recorded files, its counts, and what belongs in the journal and not in the digest."""

    files: list[FileEntry]
    counts: dict[str, Any]
    numerics: dict[str, Any] | None = None
    journal: dict[str, Any] = field(default_factory=dict)


def check_rows(stage: str, counts: Mapping[str, Any]) -> None:
    """Every stage proves its bookkeeping: in = out + dropped + quarantined.

    Raises: StageFailed when rows went missing, which is our mistake and never the user's.
    """
    dropped = sum(counts.get("dropped", {}).values())
    quarantined = counts.get("quarantined", 0)
    if counts["in"] != counts["out"] + dropped + quarantined:
        raise StageFailed(
            f"{stage}: rows do not add up: {counts['in']:,} in, {counts['out']:,} out, {dropped:,} dropped, "
            f"{quarantined:,} quarantined. Nothing was published; please report this."
        )
