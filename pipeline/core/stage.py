"""What a stage is (StageSpec, a line of a table) and what it is given when it runs (Job), and gives back (Outcome).

A spec holds import strings alone, so that planning loads neither Beam nor torch. A stage's code is one function
`run(job: Job) -> Outcome`; it writes under `job.folder`, files appear there by rename only, and what it does not name
in its Outcome is deleted at publication.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Protocol, TypedDict

from pipeline.core.artifact import Artifact
from pipeline.core.counts import Counts
from pipeline.core.errors import StageFailed
from pipeline.core.manifest import Prints
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
    Hooks, so that no code of `cluster/` knows a stage by its name; each has its protocol in pipeline/core: `checks` of
    its section against those it reads (checks.py); `raw`, the files that it reads from outside the store (raw.py);
    `report`, its part of the page (report.py); `order`, a function (model, tokens) -> TrainingOrder, for `trace`
    (order.py); `sampler`, for `sample` (sampling.py); `prompts`, a function (section) -> prompts of the user's own;
    `summary`, a function (manifest) -> str; `label`, what its artifact is called when a run ends.
    `named`: its section may be a list of named entries. `by_part`: each part of its input is a step of its own.
    `input_params`: parameters of its inputs that it reads beside their files, as "kind.name" or "kind.*".
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
    checks: tuple[str, ...] = ()
    raw: str | None = None
    report: str | None = None
    summary: str | None = None
    order: str | None = None
    sampler: str | None = None
    prompts: str | None = None
    label: str = ""
    named: bool = False
    by_part: bool = False
    input_params: tuple[str, ...] = ()

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


class SourceFile(TypedDict):
    """A file outside the store that a stage reads: where it lies, and what the plan found there."""

    path: str
    name: str
    size: NotRequired[int]
    mtime: NotRequired[float]
    sha256: str


class SourceFiles(TypedDict):
    """The files of one source, in the order of their names; `folder` where the source is a folder as a whole."""

    source: str
    reader: str
    files: list[SourceFile]
    folder: NotRequired[str]


@dataclass(frozen=True)
class Identity:
    """What an artifact is and what it is made of: what its manifest records. Nothing else may change a byte of it.

    `input_fingerprints` and `input_digests`: stage → fingerprint, or digest, of what was read; a list where a stage was
    read in several parts.
    """

    stage: str
    version: int
    kind: Kind
    run: str
    fingerprint: str
    params: dict[str, Any]
    seed: int
    attempt: int = 1
    input_fingerprints: Prints = field(default_factory=dict)
    input_digests: Prints = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """The artifacts that a stage reads, by kind; a kind may come in several parts, whose order counts.

    An artifact of another run stands under what it is for ("init"), not under its kind.
    """

    by_kind: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, artifacts: Mapping[str, Artifact | Sequence[Artifact]]) -> Inputs:
        """From one artifact or several of each kind; a kind with none is left out."""
        parts = {kind: (value,) if isinstance(value, Artifact) else tuple(value) for kind, value in artifacts.items()}
        return cls({kind: value for kind, value in parts.items() if value})

    def __contains__(self, kind: str) -> bool:
        return kind in self.by_kind

    def one(self, kind: str) -> Artifact:
        """The only artifact of a kind.

        Raises: StageFailed when there is none, or more than one.
        """
        parts = self.all(kind)
        if len(parts) != 1:
            raise StageFailed(f"{len(parts)} artifacts of the kind {kind} were given where one is read.")
        return parts[0]

    def all(self, kind: str) -> tuple[Artifact, ...]:
        """The artifacts of a kind, in the order of their parts."""
        return self.by_kind.get(kind, ())

    def files(self, kind: str, prefix: str = "") -> list[Path]:
        """The files of all parts whose path begins so: in the order of the parts, within each by the bytes of paths."""
        return [path for artifact in self.all(kind) for path in artifact.files(prefix)]

    def every(self) -> list[Artifact]:
        """All artifacts, kind by kind."""
        return [artifact for parts in self.by_kind.values() for artifact in parts]


@dataclass(frozen=True)
class Place:
    """Where an attempt works. What it names in its Outcome lies under `folder`; `scratch` is shared by all stages."""

    folder: Path
    scratch: Path
    metrics: Path
    log: Path


@dataclass(frozen=True)
class Resources:
    """How much runs at once and how; `cluster` is that section of the configuration. It changes no byte."""

    workers: int = 1
    cluster: dict[str, Any] = field(default_factory=dict)
    launcher: str = ""  # "module:function" from the cluster section to a Launcher; whoever starts the job says it


@dataclass(frozen=True)
class Job:
    """One attempt at one artifact. `section`: the stage's section of the configuration, defaults filled, as JSON."""

    identity: Identity
    inputs: Inputs
    place: Place
    resources: Resources = field(default_factory=Resources)
    sources: Sequence[SourceFiles] = ()
    section: dict[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    @property
    def stage(self) -> str:
        return self.identity.stage

    @property
    def params(self) -> dict[str, Any]:
        return self.identity.params

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def log(self) -> Path:
        return self.place.log

    @property
    def workers(self) -> int:
        return self.resources.workers

    @property
    def cluster(self) -> dict[str, Any]:
        return self.resources.cluster

    def launch(self) -> Launcher:
        """The launcher that the cluster section names; stages start processes through it and nothing else."""
        launcher: Launcher = load(self.resources.launcher)(self.cluster)
        return launcher

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; inputs as paths or URLs, the progress end as its address."""
        return {
            "identity": asdict(self.identity),
            "inputs": {kind: [part.uri for part in parts] for kind, parts in self.inputs.by_kind.items()},
            "place": {name: str(path) for name, path in asdict(self.place).items()},
            "resources": asdict(self.resources),
            "sources": list(self.sources),
            "section": self.section,
            "progress": self.progress.address,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Job:
        identity = Identity(**value["identity"])
        place = Place(**{name: Path(path) for name, path in value["place"].items()})
        cache = place.scratch / "cache"
        inputs = {kind: [Artifact.of(uri, cache) for uri in uris] for kind, uris in value["inputs"].items()}
        return cls(
            identity, Inputs.of(inputs), place, Resources(**value["resources"]), value["sources"], value["section"],
            Progress(value["progress"], identity.stage),
        )  # fmt: skip


@dataclass
class Outcome:
    """What a stage made: the recorded files, its counts, and what belongs in the journal and not in the digest."""

    files: list[FileEntry]
    counts: Counts
    numerics: dict[str, Any] | None = None
    journal: dict[str, Any] = field(default_factory=dict)


def check_rows(stage: str, counts: Counts) -> None:
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
