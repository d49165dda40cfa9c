"""Early cut-off: a stage that came out the same under other parameters causes nothing after it to be done again."""

from __future__ import annotations

import json
from typing import Any


def counts(folder: Any) -> dict[str, int]:
    return {stage: len(artifacts) for stage, artifacts in folder.published().items()}


def test_equal_bytes_under_another_parameter_are_read_as_what_they_are(finished: Any) -> None:
    plan = finished.run("plan", "tiny.yaml", "sift.longest=9")
    assert plan.count("runs again unless its input") == 2 and "sift.longest 8 → 9" in plan
    printed = finished.run("run", "tiny.yaml", "sift.longest=9")
    assert counts(finished) == {"gather": 1, "sift": 2, "teach": 1, "judge": 1}
    assert "cached: same input bytes, published" in printed and printed.count("✓") == 1
    assert "all cached" in finished.run("plan", "tiny.yaml", "sift.longest=9")


def test_what_was_taken_stands_in_the_plan_the_lineage_and_the_links(finished: Any) -> None:
    (first,) = finished.workdir.glob("runs/*")
    model = finished.published()["teach"][0]
    finished.run("run", "tiny.yaml", "sift.longest=9")
    second = next(run for run in finished.workdir.glob("runs/*") if run != first)
    plan = {one["step"]: one for one in json.loads((second / "plan.json").read_text())}
    assert plan["teach"]["fingerprint"] == model.name != plan["teach"]["exact"]
    assert plan["judge"]["fingerprint"] == plan["judge"]["exact"], "it reads what was taken"
    lineage = {one["step"]: one for one in json.loads((second / "lineage.json").read_text())}
    assert lineage["teach"]["inputs"] == json.loads((model / "manifest.json").read_text())["inputs"]
    assert (second / "artifacts" / "teach").resolve() == model.resolve()
    assert model.name[:12] in (second / "report.html").read_text()


def test_other_bytes_redo_what_reads_them_and_no_more(finished: Any) -> None:
    finished.run("run", "tiny.yaml", "sift.longest=3")
    # teach makes the same model of other documents, so there is nothing new to judge
    assert counts(finished) == {"gather": 1, "sift": 2, "teach": 2, "judge": 1}


def test_a_manifest_of_an_earlier_release_is_known_by_its_inputs_in_the_store(finished: Any) -> None:
    for artifacts in finished.published().values():
        path = artifacts[0] / "manifest.json"
        manifest = json.loads(path.read_text())
        del manifest["input_digests"]
        path.write_text(json.dumps(manifest))
    finished.run("run", "tiny.yaml", "sift.longest=9")
    assert counts(finished) == {"gather": 1, "sift": 2, "teach": 1, "judge": 1}


def test_forced_steps_are_done_under_their_own_fingerprint(finished: Any) -> None:
    finished.run("run", "tiny.yaml", "sift.longest=9")
    finished.run("run", "tiny.yaml", "sift.longest=9", "--from", "teach", "--force")
    assert counts(finished) == {"gather": 1, "sift": 2, "teach": 2, "judge": 2}
