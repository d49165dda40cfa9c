"""One entry is a name, a section and a class; a user's own is named by its import string and checked at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.launchers import LAUNCHERS
from pipeline.cleaners import CLEANERS
from pipeline.core.config import Component, Section
from pipeline.core.errors import UserError
from pipeline.core.registry import Entry, Registry
from pipeline.dedupe import METHODS
from pipeline.filters import FILTERS
from pipeline.readers import READERS
from pipeline.tokenizers import TOKENIZERS
from training.augment import AUGMENTATIONS
from training.engines import ENGINES, OPTIMIZERS, SCHEDULES
from training.evaluation import TASKS
from training.export import FORMATS
from training.models import FAMILIES
from training.objectives import OBJECTIVES

TABLES: list[Registry[Any]] = [
    READERS, CLEANERS, FILTERS, METHODS, TOKENIZERS, AUGMENTATIONS, ENGINES, OPTIMIZERS, SCHEDULES, TASKS, FORMATS,
    FAMILIES, OBJECTIVES, LAUNCHERS,
]  # fmt: skip
OWN = """
from pipeline.core.config import Section
from pipeline.filters.base import DocumentFilter

class Polite(DocumentFilter):
    class Options(Section):
        word: str = "请"
    def keep(self, document):
        return self.options.word in document["text"]

class Bare(DocumentFilter):
    def keep(self, document):
        return True

def short(document):
    return len(document["text"]) < 9

class Other:
    pass

NUMBER = 3
"""


class Width(Section):
    """The options of `Pair`."""

    width: int = 1


class Pair:
    """What an entry names."""

    def __init__(self, options: Width, more: str) -> None:
        self.options, self.more = options, more


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file can be named in an entry."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Pair.__module__])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_alternatives.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_alternatives", None)
    return "my_alternatives"


@pytest.mark.parametrize("registry", TABLES, ids=lambda registry: registry.kind.replace(" ", "-"))
def test_every_entry_has_a_section_and_a_class_of_its_base(registry: Registry[Any]) -> None:
    assert len(registry.names()) == len(set(registry.names()))
    for entry in registry.entries:
        section = registry.section(entry.name)
        assert issubclass(section, Section), entry.name
        if entry.code:
            assert callable(registry.load(entry.name)), entry.name


def test_no_section_of_a_table_loads_anything_heavy() -> None:
    code = (
        "import sys, importlib\n"
        "tables = ['pipeline.readers:READERS', 'pipeline.cleaners:CLEANERS', 'pipeline.filters:FILTERS',\n"
        "          'pipeline.dedupe:METHODS', 'pipeline.tokenizers:TOKENIZERS', 'training.augment:AUGMENTATIONS',\n"
        "          'training.engines:ENGINES', 'training.engines:OPTIMIZERS', 'training.engines:SCHEDULES',\n"
        "          'training.evaluation:TASKS', 'training.export:FORMATS', 'training.models:FAMILIES',\n"
        "          'training.objectives:OBJECTIVES']\n"
        "for table in tables:\n"
        "    module, name = table.split(':')\n"
        "    registry = getattr(importlib.import_module(module), name)\n"
        "    for entry in registry.entries:\n"
        "        registry.section(entry.name)\n"
        "heavy = {'torch', 'ray', 'apache_beam', 'transformers', 'numba', 'deepspeed'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_users_own_brings_its_options_or_has_none(own: str) -> None:
    assert FILTERS.section(f"{own}:Polite").model_validate({}).model_dump() == {"word": "请"}
    assert FILTERS.section(f"{own}:Bare") is Section
    assert FILTERS.section(f"{own}:short") is Section


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "Other",
            "my_alternatives:Other: is not a valid filter. Derive it from Filter of pipeline.filters.base, or write",
        ),
        ("NUMBER", "my_alternatives:NUMBER: is not a valid filter."),
        ("Polit", "my_alternatives has no 'Polit'. Did you mean 'Polite'?"),
    ],
)
def test_what_is_no_alternative_is_refused_where_it_is_named(own: str, name: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        FILTERS.section(f"{own}:{name}")
    assert words in str(caught.value)


def test_an_optimizer_of_another_library_is_refused_before_any_work() -> None:
    with pytest.raises(UserError, match=r"torch.optim:SGD: is not a valid optimizer. Derive it from UpdateRule of"):
        OPTIMIZERS.section("torch.optim:SGD")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown optimizer 'adamv'. Did you mean 'adamw'\?"):
        OPTIMIZERS.section("adamv")


def test_a_name_without_a_class_says_who_does_its_work() -> None:
    with pytest.raises(UserError, match=r"objective 'skipgram' has no class of its own: it can only be used with"):
        OBJECTIVES.load("skipgram")


def test_where_the_class_is_the_section_that_section_is_the_object() -> None:
    schedule = SCHEDULES.create(Component(name="wsd", options={"floor": 0.5}))
    assert schedule.factor(99, 100) == 0.5 + 0.5 / 30


def test_a_component_becomes_its_class_with_its_options_and_more() -> None:
    registry: Registry[Any] = Registry("pair", (Entry("pair", f"{__name__}:Width", f"{__name__}:Pair"),))
    pair = registry.create(Component(name="pair", options={"width": 3}), "more")
    assert isinstance(pair, Pair) and (pair.options.width, pair.more) == (3, "more")
