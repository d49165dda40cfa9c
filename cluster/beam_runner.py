"""Checks that the runner of the data stages takes what `cluster.beam` asks of it, before any work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from cluster.sections import Beam

LOCAL = ("embedded", "ray")  # runners of ours: their workers are processes that we start
GCP_INSTALL = "pip install 'apache-beam[gcp]==2.77.0'"


@dataclass(frozen=True)
class RunnerProblem:
    """What is wrong with a key of `cluster.beam`, and what to do."""

    path: tuple[str, ...]
    what: str
    hint: str


def problems(
    beam: Beam, *, workdir: str, raw_paths: Sequence[str], secrets: Sequence[str] = ()
) -> Iterator[RunnerProblem]:
    """What the runner cannot do.

    `raw_paths`: of raw files, one a source; `secrets`: the texts with ${NAME} in the sections of data stages.
    Asks a job server that is named for its options: up to 15 s where it does not answer.
    """
    if beam.runner in LOCAL:
        if beam.options:
            takes = "portable, flink, spark and dataflow do"
            yield RunnerProblem(("options",), f"the runner {beam.runner} takes no options; {takes}.", "Remove them.")
        return
    if beam.workers:
        hint = "Remove it, and use an option of the runner, such as {parallelism: 8} for flink."
        yield RunnerProblem(("workers",), f"the runner {beam.runner} chooses the number of workers itself.", hint)
    if secrets:
        what = f"the runner {beam.runner} keeps its jobs in clear text, and {', '.join(secrets)} would be in them."
        hint = "Let the code of the stage read it from the environment of the workers, or use the runner ray."
        yield RunnerProblem(("runner",), what, hint)
    if beam.runner == "dataflow":
        yield from _dataflow_problems(workdir, raw_paths)
    from pipeline.beam.portable_options import problems as option_problems  # imports Beam, 1 s

    for problem in option_problems(beam.runner, beam.options):
        yield RunnerProblem(("options", problem.name), problem.what, problem.hint)


def _dataflow_problems(workdir: str, raw_paths: Sequence[str]) -> Iterator[RunnerProblem]:
    """What is on this machine and not on those of a cloud."""
    if find_spec("apitools") is None:
        yield RunnerProblem(("runner",), "Beam has no client of Dataflow here.", f"Install it: {GCP_INSTALL}")
    for path in (workdir, *raw_paths):
        if "://" not in path:
            what = f"the workers of dataflow do not see {path}, which is on this machine."
            yield RunnerProblem(("runner",), what, "Use a URL (gs://, s3://), or another runner.")
