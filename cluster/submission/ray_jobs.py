"""Ray's Jobs API: submit, state, log and stop of a job on a cluster. The only file that imports it.

The token is Ray's own, from RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token. Importing Ray's client takes
1.4 CPU-seconds.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cluster.launchers.requirements import address_problem
from cluster.submission import sealed
from pipeline.core.errors import BloomeryError, StageFailed, UserError

# Ray's own client would take these before the address it is given
ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
ANSWER_S = 60.0  # for one request; Ray's client would wait for ever
CHATTY = ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
BROKEN = re.compile(r"WebSocket|status code 5\d\d")  # in the words of Ray's client
PORTS = {"http": 80, "https": 443}
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
STOPPED_CODE = 130  # as a run that is stopped by Ctrl-C
SIGNALLED = 128  # the exit code of shells for a process that a signal ended


class NoAnswer(BloomeryError):
    """The cluster did not answer, or broke off; the job is not affected."""


@dataclass(frozen=True)
class SubmittedJob:
    """A job as the cluster knows it. `started` and `ended` are Unix times; `exit_code` is of its process, if it ended.

    `message`: Ray's own words on its state.
    """

    id: str
    state: str
    message: str = ""
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def code(self) -> int:
        """The exit code for a command that waited for this job."""
        if self.state == "STOPPED":
            return STOPPED_CODE
        code = self.exit_code if self.exit_code is not None else int(self.state != "SUCCEEDED")
        return SIGNALLED - code if code < 0 else code


class RayJobs:
    """The jobs of one cluster.

    Raises: UserError when nothing answers at the address, or the token is missing or wrong; every method then raises
    NoAnswer when the connection breaks, and UserError for a job that is not known.
    """

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        for name in ADDRESSES:
            os.environ.pop(name, None)
        self.has_token = sealed.token() is not None
        # with a token it is sent, without one the cluster may still have no authentication
        os.environ["RAY_AUTH_MODE"] = "token" if self.has_token else "disabled"
        client = _client_class()
        with self._errors():
            self._client = client(self.address)

    def requires_token(self) -> bool:
        """Whether the cluster refuses who has no token."""
        import requests

        with self._errors():
            return bool(requests.get(f"{self.address}/api/version", timeout=ANSWER_S).status_code == 401)

    def submit(
        self, job: str, entrypoint: str, *, folder: Path, environment: Mapping[str, str], hook: str,
        metadata: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Upload a folder and start a command in it; `hook` names the function that each process of Ray calls first."""
        runtime = {"working_dir": str(folder), "env_vars": dict(environment), "worker_process_setup_hook": hook}
        with self._errors():
            self._client.submit_job(
                entrypoint=entrypoint, runtime_env=runtime, submission_id=job, metadata=dict(metadata)
            )

    def job(self, job: str) -> SubmittedJob:
        """The present state of a job."""
        with self._errors(job):
            return _submitted(self._client.get_job_info(job))

    def jobs(self) -> list[SubmittedJob]:
        """Every job that was submitted to the cluster, the oldest first."""
        with self._errors():
            jobs = [_submitted(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(jobs, key=lambda job: (job.started or 0.0, job.id))

    def stop(self, job: str) -> bool:
        """Ask a job to stop; False if it is over already."""
        with self._errors(job):
            return bool(self._client.stop_job(job))

    def log(self, job: str) -> str:
        """Everything that a job has printed."""
        with self._errors(job):
            return str(self._client.get_job_logs(job))

    async def follow(self, job: str) -> AsyncGenerator[str, None]:
        """What a job has printed, from the beginning, and prints, until it ends or the connection breaks."""
        with self._errors(job):
            async for text in self._client.tail_job_logs(job):
                yield text

    @contextmanager
    def _errors(self, job: str = "") -> Iterator[None]:
        """Turn the errors of Ray's client into ours."""
        import aiohttp
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            raise UserError(self._token_problem()) from error
        except ValueError as error:  # the answer of something else is no JSON
            raise UserError(f"--address: {self.address} does not answer like a head of Ray.") from error
        except (OSError, requests.RequestException, aiohttp.ClientError) as error:
            raise NoAnswer(f"{self.address}: no answer from the cluster ({_first_line(error)})") from error
        except RuntimeError as error:
            text = _first_line(error)
            if BROKEN.search(text):
                raise NoAnswer(f"{self.address}: no answer from the cluster ({text})") from error
            if job and "does not exist" in text:
                raise UserError(f"{job}: no such job at {self.address}.") from error
            raise StageFailed(f"{self.address}: Ray's Jobs API refused the request: {text}") from error

    def _token_problem(self) -> str:
        if self.has_token:
            return f"{self.address}: the cluster refuses this token. Take that of the cluster: {_SOURCES}."
        return f"{self.address}: the cluster requires a token, and there is none here. Give it: {_SOURCES}."


_SOURCES = f"{sealed.TOKEN}, or {sealed.TOKEN_PATH} for a file, or ~/.ray/auth_token"


def _checked(address: str) -> str:
    """The address of the head's dashboard with its scheme.

    Raises: UserError when it is none, or when nothing listens there.
    """
    url = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in PORTS or not parts.hostname or not port:
        raise UserError(f"--address: {address} is no address of a head. Write it as http://head:8265")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if problem := address_problem(f"{host}:{port}"):
        raise UserError(
            f"--address: {problem} It is the address of the head's dashboard, usually port 8265; ray start needs "
            "--include-dashboard=true and, for other machines, --dashboard-host."
        )
    return url


def _client_class() -> type:
    """Ray's client with a limit on the time of a request, and without lines of its own.

    Raises: UserError when Ray's libraries for it are not installed.
    """
    try:
        import aiohttp  # noqa: F401
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise UserError(f"jobs on a cluster need {error.name}: pip install 'bloomery[submit]'") from error
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)

    class Client(JobSubmissionClient):  # type: ignore[misc]
        def _do_request(self, method: str, endpoint: str, **options: object) -> object:
            return super()._do_request(method, endpoint, **{"timeout": ANSWER_S, **options})

    return Client


def _submitted(details: object) -> SubmittedJob:
    """Ray's JobDetails as ours; its times are milliseconds."""
    values: dict[str, object] = details.dict()  # type: ignore[attr-defined]
    started, ended = values.get("start_time"), values.get("end_time")
    code, metadata = values.get("driver_exit_code"), values.get("metadata")
    return SubmittedJob(
        str(values.get("submission_id") or values.get("job_id")),
        str(getattr(values["status"], "value", values["status"])),
        str(values.get("message") or ""),
        code if isinstance(code, int) else None,
        started / 1000 if isinstance(started, int) else None,
        ended / 1000 if isinstance(ended, int) else None,
        metadata if isinstance(metadata, dict) else {},
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
