"""What a stage is given when it runs (Job), and what it returns (StageOutput).

A stage writes under `job.folder`. Files appear there by rename only, and what the StageOutput does not list is deleted
when the artifact is published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

from pipeline.core.artifact import Artifact
from pipeline.core.backends.remote_draft import open_draft
from pipeline.core.cache import LIMIT_BYTES
from pipeline.core.counts import StageCounts
from pipeline.core.draft import Draft, LocalDraft
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue, replace_texts
from pipeline.core.inputs import Inputs
from pipeline.core.journal import JournalLine, Recovery
from pipeline.core.manifest import StageHashes
from pipeline.core.numerics import ModelNumerics, ScoreNumerics
from pipeline.core.places import JobPaths, local_folder
from pipeline.core.progress import Progress
from pipeline.core.registry import load
from pipeline.core.remote_processes import RemoteProcesses
from pipeline.core.shards import FileEntry
from pipeline.core.stage import ArtifactKind


class ProcessLauncher(Protocol):
    """How a stage starts other processes, here or on a cluster. `target` is "module:function", specs are JSON-able."""

    def gang(self, target: str, spec: JsonObject, *, sizes: Sequence[int], job: Job) -> list[Recovery]:
        """Run `target(spec, report)` in processes that start and stop together, in one of these numbers.

        Returns how often and why they were started again.
        """

    def tasks(self, target: str, specs: list[JsonObject], *, job: Job) -> list[JsonValue]:
        """Run `target(spec)` for every spec; results in the order of the specs."""

    def pool(self, target: str, shared: JsonObject, specs: list[JsonObject], *, job: Job) -> list[JsonValue]:
        """Run `target({**shared, **spec})` for every spec, in processes that keep what they loaded; results in order.

        On Ray a pool of actors that Ray Data feeds. What is in `shared` is sent to each process once.
        """


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
    kind: ArtifactKind
    run: str
    fingerprint: str
    params: JsonObject
    seed: int
    attempt: int = 1
    input_fingerprints: StageHashes = field(default_factory=dict)
    input_digests: StageHashes = field(default_factory=dict)


@dataclass(frozen=True)
class BeamOptions:
    """Where and how wide the data stages run; 0 workers means one per core. `options`: those of a portable runner."""

    runner: str = "embedded"
    workers: int = 0
    options: JsonObject = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class ClusterOptions:
    """The `cluster` section of the configuration. `head`: the address of a Ray head that this process group started.

    `workers`: of training, at most; `min_workers` at least, 0 for as many as `workers`. `cache_gb`: GiB that a machine
    keeps of files of a store behind a URL.
    """

    launcher: str = "local"
    address: str | None = None
    workers: int = 1
    min_workers: int = 0
    max_failures: int = 3
    gpus_per_worker: int = 0
    threads: int = 1
    beam: BeamOptions = field(default_factory=BeamOptions)
    head: str | None = None
    cache_gb: int = LIMIT_BYTES >> 30

    @classmethod
    def from_dict(cls, value: Mapping[str, JsonValue]) -> ClusterOptions:
        return cls(**{**value, "beam": BeamOptions(**value["beam"])})

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of training workers that are allowed."""
        return tuple(range(self.min_workers or self.workers, self.workers + 1))


@dataclass(frozen=True)
class Resources:
    """How many workers run at once, and where. None of it changes a byte of the result."""

    workers: int = 1
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
    # "module:function" of ClusterOptions, set by the starter of the job: a ProcessLauncher, RemoteProcesses
    launcher: str = ""
    remote: str = ""


@dataclass(frozen=True)
class Job:
    """One attempt at one artifact. `section`: the stage's section of the configuration, defaults filled, as JSON.

    `secrets`: text in the parameters, such as ${NAME} → the value that the stage gets in its place. `began`: the Unix
    time at which the run began this stage, by the clock of its supervisor; 0 if nobody said.
    """

    identity: Identity
    inputs: Inputs
    place: JobPaths
    resources: Resources = field(default_factory=Resources)
    sources: Sequence[SourceFiles] = ()
    section: JsonObject = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    began: float = 0.0

    @property
    def stage(self) -> str:
        return self.identity.stage

    @property
    def params(self) -> JsonObject:
        """The parameters with the values of secrets; the identity, and so every manifest, has their names."""
        params = self.identity.params
        return replace_texts(params, self.secrets) if self.secrets else params

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def draft(self) -> Draft:
        """The finished files and results of this attempt."""
        if not self.place.store:
            return LocalDraft(self.folder)
        cache = self.place.cache(self.cluster.cache_gb)
        return open_draft(self.place.store, self.identity.fingerprint, self.identity.attempt, self.folder, cache)

    @property
    def log(self) -> Path:
        return self.place.log

    @property
    def workers(self) -> int:
        return self.resources.workers

    @property
    def cluster(self) -> ClusterOptions:
        return self.resources.cluster

    def launch(self) -> ProcessLauncher:
        """The launcher that the cluster section names; stages start processes through it and nothing else."""
        launcher: ProcessLauncher = load(self.resources.launcher)(self.cluster)
        return launcher

    def remote_processes(self) -> RemoteProcesses:
        """The processes on other hosts that the cluster section names."""
        processes: RemoteProcesses = load(self.resources.remote)(self.cluster)
        return processes

    def to_dict(self) -> JsonObject:
        """JSON-able; inputs as paths or URLs, the progress end as its address."""
        return {
            "identity": asdict(self.identity),
            "inputs": {kind: [part.uri for part in parts] for kind, parts in self.inputs.by_kind.items()},
            "place": {name: str(path) for name, path in asdict(self.place).items()},
            "root": str(local_folder(self.place.store)) if self.place.store else "",
            "resources": asdict(self.resources),
            "sources": list(self.sources),
            "section": self.section,
            "progress": self.progress.address,
            "secrets": dict(self.secrets),
            "began": self.began,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, JsonValue]) -> Job:
        identity = Identity(**value["identity"])
        paths = {name: Path(path) for name, path in value["place"].items() if name != "store"}
        place = JobPaths(**paths, store=value["place"]["store"])
        if place.store:
            place = place.on_this_machine(Path(value["root"]))
        cluster = ClusterOptions.from_dict(value["resources"]["cluster"])
        cache = place.cache(cluster.cache_gb)
        inputs = {kind: [Artifact.of(uri, cache) for uri in uris] for kind, uris in value["inputs"].items()}
        resources = {**value["resources"], "cluster": cluster}
        return cls(
            identity, Inputs.of(inputs), place, Resources(**resources), value["sources"], value["section"],
            Progress(value["progress"], identity.stage), value.get("secrets", {}), value.get("began", 0.0),
        )  # fmt: skip


@dataclass
class StageOutput:
    """What a stage made: the recorded files, its counts, and what belongs in the journal and not in the digest."""

    files: list[FileEntry]
    counts: StageCounts
    numerics: ModelNumerics | ScoreNumerics | None = None
    journal: JournalLine = field(default_factory=JournalLine)


def check_rows(stage: str, counts: StageCounts) -> None:
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
