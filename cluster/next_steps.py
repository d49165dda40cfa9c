"""The last lines of a successful run: where its results are, and the next command."""

from __future__ import annotations

from cluster.config import LoadedConfig
from cluster.plan import PlannedStep
from cluster.program import program
from cluster.result import RunOptions, RunResult, command_of, relative
from cluster.run import Run
from cluster.supervisor import Supervisor
from pipeline.core import figures
from pipeline.core.artifact import Remote
from pipeline.core.registry import load

PROMPT = "Once upon a time"


def print_next_steps(supervisor: Supervisor, result: RunResult, seconds: float) -> None:
    """Print one line for each artifact whose stage has a label, then the next command."""
    console, run, loaded = supervisor.console, supervisor.run, supervisor.loaded
    console.say(f"\nDone in {figures.duration(seconds)}.")
    console.say(f"  report      {relative(run.report)}")
    for step in result.steps:
        if step.spec.label and step.id in result.selected:
            label = f"{step.spec.label} {step.name}" if step.name else step.spec.label
            console.say(f"  {label:<11} {_location(run, step)}")
    console.say(f"  {_next(loaded, run, result)}")


def _location(run: Run, step: PlannedStep) -> str:
    """Where a person finds the artifact of a step."""
    if step.artifact is not None and isinstance(step.artifact.place, Remote):
        return step.artifact.uri
    path = run.artifact(step.id)
    folders = sorted(path.glob("*/"))
    return relative(folders[0] if folders else path)


def _next(loaded: LoadedConfig, run: Run, result: RunResult) -> str:
    path = relative(run.path)
    writers = [step for step in result.steps if step.id in result.selected and step.spec.sampler and _writes(step)]
    if writers:
        of = f" --of {writers[0].name}" if len(result.of_kind(writers[0].spec.makes)) > 1 else ""
        return f'next        {program()} sample {path}{of} --prompt "{_prompt(loaded)}"'
    if result.selected[-1] != result.steps[-1].id:
        return f"next        {command_of(loaded, RunOptions())}"
    return f"next        {program()} report {path}"


def _writes(step: PlannedStep) -> bool:
    """Whether the published model can continue a prompt."""
    return step.artifact is not None and load(str(step.spec.sampler))().refusal(step.artifact) is None


def _prompt(loaded: LoadedConfig) -> str:
    """The first prompt of the configuration, or a neutral one."""
    for step in loaded.steps:
        for prompt in load(step.spec.prompts)(step.entry.options) if step.spec.prompts else ():
            return str(prompt).strip().splitlines()[0]
    return PROMPT
