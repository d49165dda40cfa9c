"""`submit`: sends a run to a Ray cluster, follows its log, and ends with its exit code."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.commands.jobs import address_of, command_for, follow_to_end
from cluster.config import LoadedConfig, as_yaml, load
from cluster.program import command
from cluster.result import SUBMITTED
from cluster.submission.package import JOB, JobOrder, write_package
from cluster.submission.refusals import AUTO, remarks, submission_checks
from pipeline.core import figures
from pipeline.core.errors import UserError
from pipeline.core.plugins import plugin_names
from pipeline.core.yaml_tree import SECRET, VARIABLE

STOP_S = 160  # for a stage to save and end before Ray kills it


@dataclass(frozen=True)
class SubmitOptions:
    """How a run is submitted. `shared`: folders that all hosts mount; `variables`: further environment variables.

    `flags` of `bloomery run`; `python` is the interpreter on the head; `wait`: follow the log to the end.
    """

    address: str | None
    shared: tuple[str, ...] = ()
    include: tuple[Path, ...] = ()
    variables: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    job: str | None = None
    python: str = "python"
    any_versions: bool = False
    wait: bool = True


def submit(path: Path, overrides: Sequence[str], options: SubmitOptions) -> int:
    """The exit code of the job; 0 as soon as it is submitted if `wait` is false.

    Raises: ConfigError, UserError before anything is sent; NoAnswer when the cluster does not answer.
    """
    loaded = load(path, overrides, checks=submission_checks(options.shared))
    address = address_of(options.address)
    passed = _variables(loaded, options.variables)
    job = _job_id(options.job, loaded.config.name)
    from cluster.submission.ray_jobs import RayJobs

    jobs = RayJobs(address)
    again = _command_again(path, overrides, options, jobs.address)
    environment = {
        "PYTHONSAFEPATH": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), SUBMITTED: again,
        **_sealed(passed, protected=jobs.requires_token()),
    }  # fmt: skip
    for remark in remarks(loaded.flow):
        print(remark)
    with tempfile.TemporaryDirectory(prefix="bloomery-") as temporary:
        folder = Path(temporary)
        size = write_package(
            folder, _config_for_cluster(loaded), JobOrder(options.flags, any_versions=options.any_versions),
            plugins=[name for step in loaded.steps for name in plugin_names(step.entry.options)],
            include=options.include, secrets=_named_secrets(loaded, passed),
        )  # fmt: skip
        stages = figures.plural(len(loaded.steps), "stage")
        print(f"{job}: {stages}, {figures.size(size)} of code, configuration and lock, to {jobs.address}", flush=True)
        jobs.submit(
            job, f"cd {JOB} && exec {shlex.quote(options.python)} -m cluster.submission.job",
            folder=folder, environment=environment, hook="cluster.submission.sealed.unseal_environment",
            metadata={"bloomery": loaded.config.name, "workdir": str(loaded.without_secrets(loaded.config.workdir))},
        )  # fmt: skip
    print(f"  follow  {command_for('logs', job, jobs.address, '--follow')}")
    print(f"  state   {command_for('status', job, jobs.address)}")
    print(f"  stop    {command_for('stop', job, jobs.address)}", flush=True)
    return follow_to_end(jobs, job, again=again) if options.wait else 0


def _config_for_cluster(loaded: LoadedConfig) -> str:
    """The resolved configuration for a job: it joins the cluster that it runs on."""
    values = loaded.resolved()
    return as_yaml({**values, "cluster": {**values["cluster"], "address": AUTO}})


def _variables(loaded: LoadedConfig, further: Sequence[str]) -> dict[str, str]:
    """The environment variables that the job needs: behind the secrets of the configuration, and the user's.

    Raises: UserError when one of them is not set.
    """
    names = {match[1] for text in loaded.secrets.values() for match in VARIABLE.finditer(text)}
    if missing := [name for name in further if name not in os.environ]:
        raise UserError(f"--env {missing[0]}: is not set in this environment.")
    return {name: os.environ[name] for name in sorted({*names, *further}) if name in os.environ}


def _sealed(variables: dict[str, str], *, protected: bool) -> dict[str, str]:
    """The variables encrypted with the cluster's token.

    Raises: UserError when the cluster has no token to encrypt them with.
    """
    if not variables:
        return {}
    from cluster.submission import sealed

    key = sealed.token() if protected else None
    if key is None:
        raise UserError(
            f"{', '.join(variables)} cannot be passed to a cluster without token authentication: everybody who reaches "
            "it could read them. Start its nodes with RAY_AUTH_MODE=token and a token."
        )
    return {sealed.SEALED: sealed.seal(variables, key)}


def _named_secrets(loaded: LoadedConfig, passed: dict[str, str]) -> dict[str, str]:
    """Value → name of what must be in no file of the package."""
    named = {value: f"${{{name}}}" for name, value in passed.items() if SECRET.search(name)}
    return {**named, **loaded.secrets}


def _job_id(job: str | None, name: str) -> str:
    """A new id for a submission: the name of the run, the time, and four random digits."""
    if job is not None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,120}", job):
            raise UserError(f"--id {job}: may have letters, digits, dots, dashes and underscores.")
        return job
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "run"
    return f"{plain}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _command_again(path: Path, overrides: Sequence[str], options: SubmitOptions, address: str) -> str:
    """The command that submits the same run; the job adds --from and the like."""
    flags = ["--address", address]
    for option, values in (("--shared", options.shared), ("--include", options.include), ("--env", options.variables)):
        flags += [word for value in values for word in (option, str(value))]
    flags += ["--python", options.python] if options.python != "python" else []
    flags += ["--any-versions"] if options.any_versions else []
    return command("submit", path, overrides, flags)
