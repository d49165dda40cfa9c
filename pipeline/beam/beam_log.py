"""What Beam says goes to the job's log while a step runs, and not to the user."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from pipeline.core.job import Job


@contextlib.contextmanager
def quiet(job: Job) -> Iterator[None]:
    """Beam's import puts a handler on the root logger and its runner warns of what we chose: both go to the log."""
    logger = logging.getLogger("apache_beam")
    handler = logging.FileHandler(job.log, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    mute_import()
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.propagate, logger.level = before


def mute_import() -> None:
    """Keep Beam's import from putting a handler on the root logger, and from warning of clouds that are not used."""
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
