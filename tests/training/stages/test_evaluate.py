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


class Here:
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
def run_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job, Here], StageOutput]:
    def run(job: Job, launcher: Here) -> StageOutput:
        monkeypatch.setattr(Job, "launch", lambda self: launcher)
        return evaluate.run(job)

    monkeypatch.setattr(perplexity, "ITEM_TOKENS", 128)
    monkeypatch.setattr(perplexity, "BATCH_TOKENS", 64)
    return run


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_scores_and_samples_are_the_same_bytes_whoever_did_the_work(
    corpus: Any, make_stage_job: Any, run_with: Any
) -> None:
    first = run_with(make_stage_job("evaluate", "scores", corpus, PARAMS, name="a"), Here())
    second = run_with(make_stage_job("evaluate", "scores", corpus, PARAMS, name="b"), Here(backwards=True))
    assert [file.path for file in first.files] == ["scores.json", "samples.json"]
    assert first == second
    assert first.numerics is not None and set(first.numerics) == {"device", "precision", "threads", "torch"}


def test_two_processes_write_what_one_writes(corpus: Any, make_stage_job: Any, run_with: Any) -> None:
    here = make_stage_job("evaluate", "scores", corpus, PARAMS, name="a")
    there = make_stage_job("evaluate", "scores", corpus, PARAMS, name="b", cluster=ClusterOptions(workers=2))
    assert run_with(here, Here()) == run_with(there, launcher(there.cluster))


def test_an_interrupted_evaluation_goes_on_from_its_finished_pieces(
    corpus: Any, make_stage_job: Any, run_with: Any
) -> None:
    whole = Here()
    undisturbed = run_with(make_stage_job("evaluate", "scores", corpus, PARAMS, name="a"), whole)
    job = make_stage_job("evaluate", "scores", corpus, PARAMS, name="b")
    with pytest.raises(KeyboardInterrupt):
        run_with(job, Here(stop_after=2))
    rest = Here()
    assert run_with(job, rest) == undisturbed
    assert rest.done == whole.done - 2 > 0


def test_scores_are_what_other_programs_read(corpus: Any, make_stage_job: Any, run_with: Any) -> None:
    job = make_stage_job("evaluate", "scores", corpus, PARAMS)
    outcome = run_with(job, Here())
    scores = read(job.folder, "scores.json")
    assert all(set(row) == {"task", "metric", "value", "interval", "items", "language"} for row in scores)
    metrics = [row["metric"] for row in scores if row["language"] is None]
    assert metrics == ["loss", "perplexity", "bits_per_byte", "xz_bits_per_byte"]
    assert outcome.counts["documents"] == len(corpus.held_out)


def test_without_prompts_each_language_of_the_corpus_is_written_on(
    corpus: Any, make_stage_job: Any, run_with: Any
) -> None:
    job = make_stage_job("evaluate", "scores", corpus, PARAMS)
    run_with(job, Here())
    samples = read(job.folder, "samples.json")
    assert [one["language"] for one in samples] == ["en", "en", "unknown", "zh", "zh"]
    openings = {text for text, _ in corpus.held_out}
    assert all(one["prompt"] and any(text.startswith(one["prompt"]) for text in openings) for one in samples)
    assert len({one["seed"] for one in samples}) == len(samples)


def test_given_prompts_are_taken_in_their_order(corpus: Any, make_stage_job: Any, run_with: Any) -> None:
    prompts = ["今天天气", "Once upon a time"]
    section = Evaluate(tasks=[{"samples": {"prompts": prompts, "tokens": 3}}])
    job = make_stage_job("evaluate", "scores", corpus, evaluate_params(section, 1))
    run_with(job, Here())
    assert [one["prompt"] for one in read(job.folder, "samples.json")] == prompts
    assert read(job.folder, "scores.json") == []


def test_the_seed_counts_only_where_something_is_drawn() -> None:
    assert "seed" not in evaluate_params(Evaluate(tasks=["perplexity"]), 17)
    assert evaluate_params(Evaluate(), 17)["seed"] == 17


def test_defaults_are_filled_in_and_mistakes_are_found() -> None:
    found = evaluate_params(Evaluate(), 1)["tasks"]
    assert found[0] == "perplexity" and found[1]["samples"]["temperature"] == 0.8
    for wrong in (["perplexty"], [{"samples": {"tokns": 3}}], ["samples", "samples"], []):
        with pytest.raises(ValueError):
            Evaluate(tasks=wrong)
