"""What `bloomery signals` answers: distributions, what a rule would drop (as the stage clean would), fitted limits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.exploring import BINS, QUANTILES, Explorer, bars
from pipeline.core.job import Job
from pipeline.core.registry import load
from pipeline.filters.bounds import CHOSEN_BY_HAND, FILE
from pipeline.filters.fitting import LEAST_DOCUMENTS
from pipeline.filters.section import Clean, rules_params, signals_params
from pipeline.stages import STAGES, clean, signals

WORDS = {
    "en": "the and of to river carries letter nobody has opened with that engine rain children stones evening".split(),
    "fr": "le la les des une rivière porte lettre personne n'a ouverte avec machine pluie enfants pierres soir".split(),
    "zh": list("安静的河流带着一封信还没有人打开它旧机器在雨里等七个孩子数着石头黄昏又从北方山上来"),
}
HASHES = {"filters": [{"quality": {"max_hash_signs": {"en": 0.1, "zh": 0.12}}}]}


def explorer() -> Explorer:
    spec = next(spec for spec in STAGES if spec.explorer)
    answer: Explorer = load(str(spec.explorer))()
    return answer


@pytest.fixture
def measured(
    make_job: Callable[..., Job], make_documents: Callable[..., Artifact], publish: Callable[..., Artifact]
) -> Artifact:
    """Signals of 240 documents in three languages and two sources; every tenth holds many hash signs."""
    draw, records = random.Random(17), []
    for number in range(240):
        language = ("en", "fr", "zh")[number % 3]
        separator = "" if language == "zh" else " "
        words = draw.choices(WORDS[language], k=draw.randint(60, 200))
        text = separator.join(words) + ". " + "# " * (0 if number % 10 else draw.randint(1, 40))
        records.append({"text": f"{text}{number}", "language": language, "source": ("one", "two")[number % 2]})
    documents = make_documents(records, files=2)
    job = make_job("signals", stage="signals", params=signals_params(Clean(), 17), inputs={"documents": documents})
    return publish(job, signals.run(job))


def rows_of(artifact: Artifact, kind: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(f"{kind}/")])


def test_distributions_are_of_each_language_and_of_each_of_its_sources(measured: Artifact) -> None:
    answer = explorer().distributions([measured])
    assert (answer.documents, answer.examined) == (240, 240)
    assert {(row.language, row.source): row.documents for row in answer.rows if row.signal == "units"} == {
        **{(language, None): 80 for language in WORDS},
        **{(language, source): 40 for language in WORDS for source in ("one", "two")},
    }
    english = next(row for row in answer.rows if (row.signal, row.language, row.source) == ("units", "en", None))
    mask = np.array(rows_of(measured, "parts")["language"].to_pylist()) == "en"
    values = rows_of(measured, "signals")["units"].to_numpy()[mask]
    assert english.quantiles == tuple(np.quantile(values, QUANTILES).tolist())
    assert len(english.histogram) == BINS and sum(english.histogram) == 80


def test_a_signal_without_a_value_is_not_counted_as_measured(measured: Artifact) -> None:
    rows = [
        row for row in explorer().distributions([measured]).rows if row.signal == "function_words" and not row.source
    ]
    assert {row.language: row.measured for row in rows} == {"en": 80, "fr": 0, "zh": 80}


@pytest.mark.parametrize("assignment", ["quality.max_hash_signs=0.03", "quality.max_hash_signs={zh: 0.01, en: 0.2}",
                                        "repetition.max_top_2gram_characters=0.05", "length.min_units=90"])  # fmt: skip
def test_a_trial_drops_what_the_stage_clean_would(
    assignment: str, measured: Artifact, make_job: Callable[..., Job], publish: Callable[..., Artifact]
) -> None:
    trial = explorer().trial([measured], Clean.model_validate(HASHES), assignment)
    name, _, value = assignment.partition("=")
    filter_name, _, option = name.partition(".")
    base = {"max_hash_signs": {"en": 0.1, "zh": 0.12}} if filter_name == "quality" else {}
    section = Clean.model_validate({"filters": [{filter_name: {**base, option: yaml.safe_load(value)}}]})
    job = make_job("clean", stage="clean", params=rules_params(section, 17), inputs={"documents": measured})
    failed = clean.run(job).counts["failed"]
    assert trial.dropped == failed.get(name, 0) == sum(group.dropped for group in trial.groups) > 0
    assert trial.documents == 240 and 0 < len(trial.samples) <= trial.dropped
    for sample in trial.samples:
        below = sample.value < sample.limit
        assert below if option.startswith("min_") else not below and sample.value > sample.limit
        assert sample.text


def test_a_trial_says_what_the_run_drops_now_and_what_is_new(measured: Artifact) -> None:
    section = Clean.model_validate(HASHES)
    same = explorer().trial([measured], section, "quality.max_hash_signs={en: 0.1}")
    assert same.dropped == same.dropped_now and same.dropped_new == 0
    stricter = explorer().trial([measured], section, "quality.max_hash_signs=0.001")
    assert stricter.dropped > (stricter.dropped_now or 0) and stricter.dropped_new > 0
    assert explorer().trial([measured], section, "length.min_units=90").dropped_now is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("quality.max_hash_signs", "write FILTER.OPTION=VALUE"),
        ("qualty.max_hash_signs=1", "Did you mean 'quality'?"),
        ("quality.max_hash_sign=1", "quality has no option 'max_hash_sign'. Did you mean 'max_hash_signs'?"),
        ("quality.max_hash_signs=many", "write a number"),
        ("quality.max_hash_signs={zh: [}", "it is not YAML"),
    ],
)
def test_a_wrong_rule_is_one_sentence(assignment: str, message: str, measured: Artifact) -> None:
    with pytest.raises(UserError, match="--rule") as raised:
        explorer().trial([measured], Clean(), assignment)
    assert message in str(raised.value)


def test_fitted_limits_are_never_within_what_few_documents_show_and_can_be_pasted(measured: Artifact) -> None:
    section = Clean()
    bounds = explorer().fit([measured], section, "en")
    assert {bound.language for bound in bounds} == {"fr", "zh"}
    assert {bound.documents for bound in bounds} == {80} and {bound.sources for bound in bounds} == {("one", "two")}
    values = rows_of(measured, "signals").to_pydict()
    tags = rows_of(measured, "parts")["language"].to_pylist()
    longest = max(value for value, tag in zip(values["mean_unit_length"], tags, strict=True) if tag == "fr")
    french = {bound.rule: bound.bound for bound in bounds if bound.language == "fr"}
    assert (french["quality.max_mean_unit_length"] or 0) >= longest
    pasted = Clean.model_validate(yaml.safe_load(explorer().as_yaml(bounds, section)))
    limits: dict[str, Any] = {
        f"{component.name}.{option}": limit
        for component in pasted.filters
        for option, limit in component.options.items()
    }
    assert all(limits[rule]["fr"] == bound for rule, bound in french.items() if bound is not None)


def test_a_reference_without_enough_documents_is_refused_with_the_languages_that_have(measured: Artifact) -> None:
    with pytest.raises(UserError, match="de has fewer than 30 documents.*en 80"):
        explorer().fit([measured], Clean(), "de")


def test_the_shipped_limits_rest_on_enough_documents_and_judge_no_language_that_was_chosen_by_hand() -> None:
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert all(row["documents"] >= LEAST_DOCUMENTS and row["sources"] for row in rows)
    defaults = next(component.options for component in Clean().filters if component.name == "quality")
    assert defaults["max_mean_unit_length"]["en"] == 10 and defaults["max_mean_unit_length"]["zh"] == 4
    shipped = {row["language"]: row["bound"] for row in rows if row["rule"] == "quality.max_mean_unit_length"}
    taken = {tag: bound for tag, bound in shipped.items() if tag not in CHOSEN_BY_HAND and bound is not None}
    assert taken.items() <= defaults["max_mean_unit_length"].items()


def test_bars_show_every_bin_that_is_not_empty() -> None:
    assert bars([0, 1, 10_000]) == " ▁█" and bars([]) == "" and bars([0, 0]) == "  "
