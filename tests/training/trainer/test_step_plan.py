"""`batch_tokens` is the batch of all workers together: what each worker does follows from it."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from training.section import Pretrain
from training.trainer.step_plan import StepPlan, plan_steps


def cut(*, world: int = 1, micro_tokens: int = 8192, length: int = 256, **options: object) -> StepPlan:
    section = Pretrain.model_validate({"batch_tokens": 16384, "steps": 100, **options})
    return plan_steps(section, length=length, rows=1000, world=world, micro_tokens=micro_tokens, precision="fp32")


@pytest.mark.parametrize(
    ("world", "micro_tokens", "rows", "times"), [(1, 8192, 32, 2), (2, 8192, 32, 1), (4, 8192, 16, 1), (1, 100, 1, 64)]
)
def test_workers_and_memory_change_the_cut_and_never_the_batch(
    world: int, micro_tokens: int, rows: int, times: int
) -> None:
    step_plan = cut(world=world, micro_tokens=micro_tokens)
    assert (step_plan.micro_rows, step_plan.micro_batches, step_plan.batch_rows) == (rows, times, 64)
    assert step_plan.micro_rows * step_plan.micro_batches * world == 64


def test_a_batch_is_cut_evenly_even_where_it_is_no_power_of_two() -> None:
    step_plan = cut(batch_tokens=256 * 21, micro_tokens=256 * 8)
    assert (step_plan.micro_rows, step_plan.micro_batches) == (7, 3)


def test_fractions_are_of_the_steps_and_counts_are_counts() -> None:
    step_plan = cut(steps=40, validate_every=0.25, save_every=15)
    assert [step for step in range(1, 41) if step_plan.validates(step)] == [10, 20, 30, 40]
    assert [step for step in range(1, 41) if step_plan.saves(step)] == [15, 30]
    assert cut(steps=3).validates(1), "a tenth of three steps is one"


def test_the_last_step_is_validated_and_ends_in_the_model() -> None:
    step_plan = cut(steps=25, validate_every=10, save_every=5)
    assert step_plan.validates(25) and not step_plan.saves(25)


def test_steps_follow_the_precision() -> None:
    section = Pretrain.model_validate({"batch_tokens": 256, "steps": {"bf16": 50, "fp32": 20}})
    cut_at = {"length": 256, "rows": 9, "world": 1, "micro_tokens": 256}
    step_plan = [plan_steps(section, precision=p, **cut_at).steps for p in ("bf16", "fp32")]  # type: ignore[arg-type]
    assert step_plan == [50, 20]


def test_a_batch_of_broken_rows_is_refused_with_the_nearest_that_is_whole() -> None:
    with pytest.raises(UserError, match="16,400 is not a whole number of rows of 256 tokens; 16,384 is"):
        cut(batch_tokens=16400)


def test_workers_that_cannot_share_a_batch_evenly_get_empty_rows() -> None:
    step_plan = cut(world=3)
    assert (step_plan.micro_rows, step_plan.micro_batches, step_plan.empty_rows) == (22, 1, 2)
    # 22 rows, at most 8 at once: 3 times 8, not 11 times 2
    assert (cut(world=3, micro_tokens=8 * 256).micro_rows, cut(world=3, micro_tokens=8 * 256).micro_batches) == (8, 3)
    assert cut(world=7).empty_rows == 6 and cut(world=4).empty_rows == 0


def test_epochs_are_passes_over_the_rows() -> None:
    section = Pretrain.model_validate({"batch_tokens": 1024, "epochs": 2.5})
    assert plan_steps(section, length=256, rows=100, world=1, micro_tokens=256, precision="fp32").steps == 62


def test_a_group_of_rows_stays_in_one_micro_batch() -> None:
    section = Pretrain.model_validate({"batch_tokens": 24 * 256, "steps": 1})
    step_plan = plan_steps(section, length=256, rows=100, world=1, micro_tokens=10 * 256, precision="fp32", group=4)
    assert (step_plan.micro_rows, step_plan.micro_batches) == (8, 3)
