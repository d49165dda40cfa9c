"""The whole YAML as one type: a section per stage in the order of the flow, and `cluster`, which changes no output.

The type is built from the stage tables. The section of a stage that takes names may be a list of named entries; their
`name` and `of` are not part of the section, so they enter no fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, create_model, model_validator

from pipeline.core.config import MAPPING, VALUE, VALUE_OR_SECTION, Section, UserPath, one_of
from pipeline.core.job import ClusterOptions
from pipeline.core.registry import load
from pipeline.core.stage import StageSpec
from pipeline.core.yaml_tree import PathOf

RunnerOption = Annotated[str | bool | int | float | list[str], one_of("text, a number, true, false or a list of texts")]
"""A value of an option of Beam."""


class Beam(Section):
    """Where the data stages run, and with how many workers; 0 means one per core.

    `embedded`: on this machine. `ray`: on all nodes of the Ray cluster at `cluster.address`, or of a Ray started here.
    `portable`, `flink`, `spark`, `dataflow`: on a runner of Beam, which is given `options` (cluster/deploy/BEAM.md).
    """

    runner: Literal["embedded", "ray", "portable", "flink", "spark", "dataflow"] = "embedded"
    workers: int = Field(default=0, ge=0, le=4096)
    options: dict[str, RunnerOption] = Field(default_factory=dict)


class WorkerRange(Section):
    """The fewest and the most workers of a training."""

    min: int = Field(ge=1, le=4096)
    max: int = Field(ge=1, le=4096)

    @model_validator(mode="after")
    def _is_ordered(self) -> WorkerRange:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, and max is {self.max}: min may not be larger")
        return self


Workers = Annotated[
    Annotated[int, Field(ge=1, le=4096), Tag(VALUE)] | Annotated[WorkerRange, Tag(MAPPING)], VALUE_OR_SECTION
]
"""A number of workers, or a range."""


class Metrics(Section):
    """Prometheus metrics of a run; nothing by default. Both ways may be used at once.

    `file` ends in .prom and lies in the folder of node_exporter's textfile collector; it stays after the run. `port` is
    an HTTP endpoint at `host` while the run lasts: open to this machine alone unless you write another address.
    """

    file: UserPath | None = Field(default=None, pattern=r"\.prom$")
    port: int | None = Field(default=None, ge=1, le=65535)
    host: str = Field(default="127.0.0.1", min_length=1)


class Cluster(Section):
    """The launcher, the number of training processes, and threads per process.

    Processes and threads decide the numerics class of a model, and change no fingerprint. `workers` may be a range,
    {min, max}: training starts with as many as there is room for, and goes on with fewer when some are lost.
    `max_failures`: how often training goes on by itself, from its last checkpoint, after a worker or a host was lost,
    and how often a stage does, from its finished tasks, after one of its processes was killed or crashed.
    `address` names a Ray cluster that is running already ("auto", "ray://host:10001"); without it Ray is started on
    this machine. `cache_gb`: GiB that each machine keeps of the files of a work directory behind a URL.
    """

    launcher: Literal["local", "ray"] = "local"
    address: str | None = Field(default=None, min_length=1)
    workers: Workers = 1
    max_failures: int = Field(default=3, ge=0, le=1_000_000)
    gpus_per_worker: int = Field(default=0, ge=0, le=64)
    threads: int = Field(default=1, ge=1, le=1024)
    cache_gb: int = Field(default=50, ge=1, le=1 << 20)
    beam: Beam = Beam()
    metrics: Metrics = Metrics()

    def options(self, *, head: str | None = None) -> ClusterOptions:
        """What a stage has to know, as plain values; metrics are the supervisor's."""
        workers = {"workers": self.most_workers, "min_workers": self.least_workers}
        values = self.model_dump(mode="json", exclude={"metrics"})
        return ClusterOptions.from_dict(values | {"head": head or None} | workers)

    @property
    def most_workers(self) -> int:
        return self.workers if isinstance(self.workers, int) else self.workers.max

    @property
    def least_workers(self) -> int:
        return self.workers if isinstance(self.workers, int) else self.workers.min


class RunConfig(Section):
    """The keys of every run; `model_of` adds a field for each section of the stage tables."""

    name: str = Field(default="run", pattern=r"^[\w.-]{1,80}$")
    workdir: UserPath = "work"
    seed: int = Field(default=17, ge=0, lt=1 << 63)
    cluster: Cluster = Cluster()

    def section(self, name: str) -> Section | None:
        """The section of that name; None if it is absent or a list of entries."""
        section = getattr(self, name, None)
        return section if isinstance(section, Section) else None


@dataclass(frozen=True)
class SectionEntry:
    """A section, or one named entry of a section that is a list, with its path in the file.

    `of`: the names of its inputs, as the user wrote them.
    """

    key: str
    options: Section
    path: PathOf
    name: str = ""
    of: tuple[str, ...] = ()


EntryNames = dict[PathOf, tuple[str, tuple[str, ...]]]
"""Path of an entry → its name and its `of`."""


def entries_of(config: RunConfig, key: str, names: EntryNames) -> list[SectionEntry]:
    """The entries of a section: none if it is absent, one if it is not a list."""
    value = getattr(config, key, None)
    if isinstance(value, Section):
        return [SectionEntry(key, value, (key,), *names.get((key,), ("", ())))]
    items = enumerate(value) if isinstance(value, list) else ()
    entries = [(at, item) for at, item in items if isinstance(item, Section)]  # invalid entries are reported elsewhere
    return [SectionEntry(key, item, (key, at), *names.get((key, at), ("", ()))) for at, item in entries]


@cache
def model_of(specs: tuple[StageSpec, ...], listed: frozenset[str] = frozenset()) -> type[RunConfig]:
    """The type of the whole YAML for these stages; the sections in `listed` are lists of entries."""
    fields: dict[str, Any] = {}
    for spec in specs:
        section: type[Section] = load(spec.section_type)
        fields[spec.section] = (list.__class_getitem__(section) if spec.section in listed else section | None, None)
    return create_model("RunConfig", __base__=RunConfig, **fields)


def stage_table() -> tuple[StageSpec, ...]:
    """All stages, in the order of the flow: data, then models, but for those that say behind which stage they stand."""
    from pipeline.stages import STAGES as data
    from training.stages import STAGES as models

    between = {spec.name: [model for model in models if model.after == spec.name] for spec in data}
    last = [spec for spec in models if not spec.after]
    return (*(each for spec in data for each in (spec, *between[spec.name])), *last)
