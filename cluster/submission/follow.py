"""Follows the log of a job to its end. A connection that breaks is made again; what was written is not repeated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from cluster.submission.ray_jobs import NoAnswer, RayJobs, SubmittedJob

RETRY_S = 2.0
PATIENCE_S = 300.0  # without any answer from the cluster
SILENCE_S = 20.0  # of a log, after which the state of its job is asked for: a dead connection may never say so


def follow(jobs: RayJobs, job: str, write: Callable[[str], None], say: Callable[[str], None]) -> SubmittedJob:
    """Write what a job prints until it ends; `say` takes remarks. Returns its last state.

    Raises: NoAnswer when the cluster does not answer for PATIENCE_S; UserError when there is no such job.
    """
    return asyncio.run(_follow(jobs, job, LogWriter(write), say))


class LogWriter:
    """Writes a log that is read several times from its beginning: each character once."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._written = write, 0

    def put(self, text: str, position: int) -> int:
        """Write what is new of a text that begins at this position of the log; return the position of its end."""
        new = text[max(0, self._written - position) :]
        if new:
            self._write(new)
            self._written = position + len(text)
        return position + len(text)


async def _follow(jobs: RayJobs, job: str, log: LogWriter, say: Callable[[str], None]) -> SubmittedJob:
    lost_at = 0.0
    while True:
        try:
            await _write_stream(jobs, job, log)
            state = await asyncio.to_thread(jobs.job, job)
            if state.is_over:
                log.put(await asyncio.to_thread(jobs.log, job), 0)
                return state
            lost_at = 0.0
        except NoAnswer as error:
            if not lost_at:
                lost_at = time.monotonic()
                say(f"{error}; trying again for {PATIENCE_S / 60:g} minutes. The job goes on.")
            elif time.monotonic() - lost_at > PATIENCE_S:
                raise
        await asyncio.sleep(RETRY_S)


async def _write_stream(jobs: RayJobs, job: str, log: LogWriter) -> None:
    """Write what is new in a log until its stream ends, or until its job is over and nothing comes."""
    stream, position = jobs.follow(job), 0
    waiting: asyncio.Future[str] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(stream))
            await asyncio.wait({waiting}, timeout=SILENCE_S)
            if waiting.done():
                finished, waiting = waiting, None
                position = log.put(finished.result(), position)
            elif (await asyncio.to_thread(jobs.job, job)).is_over:
                return
    except StopAsyncIteration:
        return
    finally:
        if waiting is not None:
            waiting.cancel()
            with suppress(asyncio.CancelledError, NoAnswer):
                await waiting
        await stream.aclose()
