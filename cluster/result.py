"""The options of a run beside its configuration, and its result."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from cluster.config import LoadedConfig
from cluster.plan import PlannedStep
from cluster.program import command
from cluster.run import Run
from pipeline.core.artifact import Artifact

STOPPED = 130  # the exit code that shells use for Ctrl-C
SUBMITTED = "BLOOMERY_SUBMITTED"  # in a submitted job: the command that submits this run again


@dataclass(frozen=True)
class RunOptions:
    """`start` and `end`: the first and the last step or stage; `head`: the address of a Ray cluster that runs share."""

    start: str | None = None
    end: str | None = None
    force: bool = False
    head: str | None = None


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `steps`: every step, planned again after the run; `selected`: the ids of those that were to run.

    `run` is None if this configuration was never run.
    """

    exit_code: int
    run: Run | None
    steps: tuple[PlannedStep, ...]
    selected: tuple[str, ...]
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether every step of the configuration is published."""
        return all(step.artifact is not None for step in self.steps)

    def of_kind(self, kind: str) -> list[tuple[PlannedStep, Artifact]]:
        """The published steps that make this kind, in the order of the flow."""
        return [(step, step.artifact) for step in self.steps if step.spec.makes == kind and step.artifact is not None]


def command_of(loaded: LoadedConfig, options: RunOptions, *, failed: str | None = None) -> str:
    """The command line of a run, or of the submission it came by; with `failed`, that which resumes from that step.

    Without --force the same command resumes. With it, the resumed run starts at the failed step.
    """
    start = failed if failed and options.force else options.start
    flags = [*(["--from", start] if start else []), *(["--to", options.end] if options.end else [])]
    flags += ["--force"] if options.force else []
    if submitted := os.environ.get(SUBMITTED):
        return " ".join([submitted, *map(shlex.quote, flags)])
    return command("run", loaded.path, loaded.overrides, flags)


def relative(path: Path) -> str:
    """A path relative to the current directory, if it is inside it."""
    inside = path.is_relative_to(Path.cwd())
    return os.path.relpath(path) if inside else str(path)
