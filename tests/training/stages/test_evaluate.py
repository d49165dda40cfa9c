"""The evaluate stage: the same bytes however the work was spread, and from where an earlier attempt stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.launchers import launcher
from pipeline.core.job import ClusterOptions, Job, StageOutput
from training.evaluation import perplexity
from training.evaluation.section import Evaluate, evaluate_params
from training.evaluation.worker import work
from training.stages import evaluate

PARAMS = evaluate_params(Evaluate(tasks=["perplexity", {"samples": {"tokens": 12}}]), seed=17)


class InProcess:
    """A launcher that does the work in this process, in any order."""

    def __init__(self, *, backwards: bool = False, stop_after: int = 1 << 30) -> None:
        self.backwards, self.stop_after, self.done = backwards, stop_after, 0

    def tasks(self, target: str, specs: list[dict[str, Any]], *, job: Job) -> list[Any]:
        assert target == evaluate.WORK
        for spec in reversed(specs) if self.backwards else specs:
            if self.done == self.stop_after:
                raise KeyboardInterrupt
            work(json.loads(json.dumps(spec)))
            self.done += 1
        return [None] * len(specs)


@pytest.fixture
def run_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job, InProcess], StageOutput]:
    def run(job: Job, launcher: InProcess) -> StageOutput:
        monkeypatch.setattr(Job, "launch", lambda self: launcher)
        return evaluate.run(job)

    monkeypatch.setattr(perplexity, "ITEM_TOKENS", 128)
    monkeypatch.setattr(perplexity, "BATCH_TOKENS", 64)
    return run


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_scores_and_samples_are_the_same_bytes_in_any_order_of_the_work(
    corpus: Any, make_stage_job: Any, run_with: Any
) -> None:
    first = run_with(make_stage_job("evaluate", "scores", corpus, PARAMS, name="a"), InProcess())
    second = run_with(make_stage_job("evaluate", "scores", corpus, PARAMS, name="b"), InProcess(backwards=True))
    assert [file.path for file in first.files] == ["scores.json", "samples.json"]
    assert first == second
    assert first.numerics is not None and set(first.numerics) == {"device", "precision", "threads", "torch"}


def test_two_processes_write_what_one_writes(corpus: Any, make_stage_job: Any, run_with: Any) -> None:
    one_process = make_stage_job("evaluate", "scores", corpus, PARAMS, name="a")
    two_processes = make_stage_job("evaluate", "scores", corpus, PARAMS, name="b", cluster=ClusterOptions(workers=2))
    assert run_with(one_process, InProcess()) == run_with(two_processes, launcher(two_processes.cluster))


def test_an_interrupted_evaluation_goes_on_from_its_finished_items(
    corpus: Any, make_stage_job: Any, run_with: Any
) -> None:
    complete = InProcess()
    undisturbed = run_with(make_stage_job("evaluate", "scores", corpus, PARAMS, name="a"), complete)
    job = make_stage_job("evaluate", "scores", corpus, PARAMS, name="b")
    with pytest.raises(KeyboardInterrupt):
        run_with(job, InProcess(stop_after=2))
    remaining = InProcess()
    assert run_with(job, remaining) == undisturbed
    assert remaining.done == complete.done - 2 > 0


def test_scores_are_what_other_programs_read(corpus: Any, make_stage_job: Any, run_with: Any) -> None:
    job = make_stage_job("evaluate", "scores", corpus, PARAMS)
    outcome = run_with(job, InProcess())
    scores = read(job.folder, "scores.json")
    assert all(set(row) == {"task", "metric", "value", "interval", "items", "language"} for row in scores)
    metrics = [row["metric"] for row in scores if row["language"] is None]
    assert metrics == ["loss", "perplexity", "bits_per_byte", "xz_bits_per_byte"]
    assert outcome.counts["documents"] == len(corpus.held_out)


def test_without_prompts_each_language_of_the_corpus_is_written_on(
    corpus: Any, make_stage_job: Any, run_with: Any
) -> None:
    job = make_stage_job("evaluate", "scores", corpus, PARAMS)
    run_with(job, InProcess())
    samples = read(job.folder, "samples.json")
    assert [sample["language"] for sample in samples] == ["en", "en", "unknown", "zh", "zh"]
    openings = {text for text, _ in corpus.held_out}
    assert all(sample["prompt"] and any(text.startswith(sample["prompt"]) for text in openings) for sample in samples)
    assert len({sample["seed"] for sample in samples}) == len(samples)


def test_given_prompts_are_taken_in_their_order(corpus: Any, make_stage_job: Any, run_with: Any) -> None:
    prompts = ["今天天气", "Once upon a time"]
    section = Evaluate(tasks=[{"samples": {"prompts": prompts, "tokens": 3}}])
    job = make_stage_job("evaluate", "scores", corpus, evaluate_params(section, 1))
    run_with(job, InProcess())
    assert [sample["prompt"] for sample in read(job.folder, "samples.json")] == prompts
    assert read(job.folder, "scores.json") == []


def test_the_seed_counts_only_where_something_is_drawn() -> None:
    assert "seed" not in evaluate_params(Evaluate(tasks=["perplexity"]), 17)
    assert evaluate_params(Evaluate(), 17)["seed"] == 17


def test_defaults_are_filled_in_and_mistakes_are_found() -> None:
    tasks = evaluate_params(Evaluate(), 1)["tasks"]
    assert tasks[0] == "perplexity" and tasks[1]["samples"]["temperature"] == 0.8
    for wrong in (["perplexty"], [{"samples": {"tokns": 3}}], ["samples", "samples"], []):
        with pytest.raises(ValueError):
            Evaluate(tasks=wrong)
