"""A run of the stage `passages` over made-up documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.job import Job
from pipeline.passages.section import Passages, passages_params
from pipeline.stages import passages

Run = Callable[..., Artifact]


@pytest.fixture
def run_passages(make_job: Callable[..., Job], make_documents: Run, publish: Run) -> Run:
    """(records or texts, *finders, and options of the section) → the artifact of the stage."""

    def publish_run(
        records: Iterable[Any], *finders: Any, name: str = "", workers: int = 1, files: int = 3, **options: Any
    ) -> Artifact:
        section = Passages.model_validate({"finders": list(finders), "min_units": 1, **options})
        rows = [record if isinstance(record, dict) else {"text": record} for record in records]
        documents = make_documents(rows, files=files, name=f"documents{name}")
        job = make_job(
            f"draft{name}", stage="passages", params=passages_params(section, 17), workers=workers,
            inputs={"documents": documents},
        )  # fmt: skip
        return publish(job, passages.run(job))

    return publish_run
