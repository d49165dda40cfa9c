"""Several models in a run: named entries, what each step reads by `of`, overrides by name, mistakes with their line."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.reasons import comparable
from pipeline.core.stage import StageSpec

SEVERAL = """\
name: several
workdir: work
gather: {}
sift: {longest: 8}
teach:
  - {name: small, steps: 2}
  - {name: wide, steps: 13}
judge: {of: [small, wide]}
"""


@pytest.fixture
def several(folder: Any) -> Any:
    folder.configure(SEVERAL)
    return folder


def test_every_entry_is_an_artifact_and_every_input_named_by_of_a_step(several: Any) -> None:
    printed = several.run("run", "tiny.yaml")
    assert {stage: len(found) for stage, found in several.published().items()} == {
        "gather": 1, "sift": 1, "teach": 2, "judge": 2,
    }  # fmt: skip
    for step in ("teach.small", "teach.wide", "judge.small", "judge.wide"):
        assert step in printed
        assert (next(several.workdir.glob("runs/*")) / "artifacts" / step).exists()
    judged, taught = (
        json.loads(several.read(f"work/runs/*/artifacts/{step}/manifest.json")) for step in ("judge.wide", "teach.wide")
    )
    assert judged["inputs"] == {"teach": taught["fingerprint"]}
    assert '--of small --prompt "Once upon a time"' in printed


def test_names_enter_no_fingerprint(several: Any) -> None:
    several.run("run", "tiny.yaml")
    several.configure(SEVERAL.replace("small", "klein").replace("wide", "breit"))
    assert "all cached" in several.run("plan", "tiny.yaml")
    unnamed = SEVERAL[: SEVERAL.index("teach:")] + "teach: {steps: 13}\njudge: {}\n"
    several.configure(unnamed)
    assert "all cached" in several.run("plan", "tiny.yaml")


def test_a_changed_entry_redoes_its_own_steps_alone(several: Any) -> None:
    several.run("run", "tiny.yaml")
    printed = several.run("run", "tiny.yaml", "teach.wide.steps=14")
    assert printed.count("cached: ") == 4 and printed.count("✓") == 2
    assert "5/6] judge.small =" in printed and "4/6] teach.wide  ✓" in printed and "6/6] judge.wide  ✓" in printed


@pytest.mark.parametrize("named", [True, False])
def test_why_an_entry_runs_again_is_told_by_the_artifact_that_is_most_like_it(named: bool) -> None:
    spec = StageSpec("teach", 1, "teach", (), "model", "task", "m:run", "m:Teach", named=named)
    earlier: Any = [
        SimpleNamespace(manifest=SimpleNamespace(params=params))
        for params in ({"name": "宽", "steps": 13}, {"name": "small", "steps": 2})
    ]
    assert comparable(spec, {"name": "small", "steps": 3}, earlier) is earlier[int(named)]


def test_a_step_or_a_whole_stage_may_begin_or_end_a_run(several: Any) -> None:
    printed = several.run("run", "tiny.yaml", "--to", "teach.small")
    assert "teach.wide" not in printed.replace("next", "") and len(several.published()["teach"]) == 1
    several.run("run", "tiny.yaml", "--to", "teach")
    assert len(several.published()["teach"]) == 2


def test_the_resolved_configuration_keeps_names_and_runs_again(several: Any) -> None:
    several.run("run", "tiny.yaml")
    resolved = next(several.workdir.glob("runs/*/config.yaml"))
    assert "name: small" in resolved.read_text() and "of: [small, wide]" in resolved.read_text()
    assert "all cached" in several.run("plan", str(resolved))


def test_without_of_the_nearest_before_is_read(several: Any) -> None:
    several.configure(SEVERAL.replace("{of: [small, wide]}", "{}"))
    lines = several.run("plan", "tiny.yaml").splitlines()
    assert "reads teach.wide" in lines[[line.startswith("+ judge") for line in lines].index(True) + 1]


def test_sample_asks_which_model_and_takes_it_by_name(several: Any) -> None:
    several.run("run", "tiny.yaml")
    assert "several models. Name one: --of small or --of wide" in several.run("sample", code=2)
    assert "13 steps" in several.run("sample", "--of", "wide")
    assert "Did you mean 'small'?" in several.run("sample", "--of", "smal", code=2)


@pytest.mark.parametrize(
    ("teach", "judge", "told"),
    [
        (
            "[{name: a, steps: 2}, {name: a, steps: 3}]",
            "{}",
            "5: teach.a.name: the name 'a' is used by an earlier entry",
        ),
        ("[{name: a, steps: 2}, {steps: 3}]", "{}", "5: teach[1]: has no name."),
        ("[{name: 大, steps: 2}]", "{}", "5: teach[0].name: '大' is not a valid name for an entry."),
        ("[]", "{}", "5: teach: is an empty list."),
        ("[{name: small, stesp: 2}]", "{}", "5: teach.small.stesp: unknown key. Did you mean 'steps'?"),
        (
            "[{name: small}]",
            "{of: smal}",
            "6: judge.of: no earlier section is named 'smal'. Did you mean 'small'?",
        ),
        ("[{name: small}]", "{of: sift}", "6: judge.of: sift makes documents, and the stage judge reads model."),
        ("[{name: small}]", "{of: [small, small]}", "6: judge.of: names small twice."),
        ("[{name: small}]", "{of: 3}", "6: judge.of: should be a name or a list of names"),
    ],
)
def test_a_wrong_name_is_told_with_its_line(folder: Any, teach: str, judge: str, told: str) -> None:
    folder.configure(f"name: wrong\nworkdir: work\ngather: {{}}\nsift: {{}}\nteach: {teach}\njudge: {judge}\n")
    assert f"tiny.yaml:{told}" in folder.run("check", "tiny.yaml", code=2)


def test_an_override_of_an_entry_that_is_not_there_names_the_ones_that_are(several: Any) -> None:
    printed = several.run("check", "tiny.yaml", "teach.smal.steps=3", code=2)
    assert "command line: teach.smal.steps: there is no teach.smal. Did you mean 'small'?" in printed
    assert "command line: teach.small.steps: should be" in several.run(
        "check", "tiny.yaml", "teach.small.steps=x", code=2
    )
