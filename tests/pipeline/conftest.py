"""What every test of a data stage needs: a job in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.stage import Job


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """make_job(stage="ingest", params={…}, workers=2) → a Job whose folders lie under `name` and exist."""

    def make(name: str = "draft", **fields: Any) -> Job:
        root = tmp_path / name
        for folder in ("folder", "scratch", "metrics"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        known: dict[str, Any] = {
            "stage": "test", "version": 1, "kind": "documents", "run": "", "fingerprint": "0" * 64, "params": {},
            "seed": 17, "inputs": {}, "folder": root / "folder", "scratch": root / "scratch",
            "metrics": root / "metrics", "log": root / "log.txt",
        }  # fmt: skip
        return Job(**{**known, **fields})

    return make
