"""The device of a worker: the GPU that was asked for, or an error; never the CPU in its place."""

from __future__ import annotations

import pytest
import torch

from pipeline.core.errors import UserError
from training.engines import device


def test_a_gpu_that_was_asked_for_is_not_replaced_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.device().type == "cpu"
    monkeypatch.setenv(device.GPUS, "1")
    with pytest.raises(UserError, match=r"^cluster\.gpus_per_worker: torch .* sees no GPU on "):
        device.device()
