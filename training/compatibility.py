"""What goes together in a `pretrain` section: family, objective, optimizer, schedule, engine. Names alone."""

from __future__ import annotations

from training.families import FAMILIES, Family, Kind, admits
from training.objectives.section import dropout_problem
from training.section import Pretrain


def needs(section: Pretrain) -> tuple[str, ...]:
    """Kinds of artifact that this family needs beside tokens and tokenizer."""
    known = FAMILIES.get(section.model.name)
    return known.needs if known else ()


def family_problems(section: Pretrain) -> list[tuple[str, str]]:
    """What does not go together, as (option, sentence); empty when all does."""
    known, name, found = FAMILIES.get(section.model.name), section.model.name, []
    if known is None:
        return []  # a user's own family knows what it takes
    kinds: tuple[Kind, ...] = ("objectives", "optimizers", "schedules", "engines")
    for kind in kinds:
        option = kind.removesuffix("s")
        fits, chosen = getattr(known, kind), getattr(section, option).name
        if not admits(known, kind, chosen):
            found.append((option, f"{chosen} is not for {name}; it takes {' or '.join(fits)}.{_reason(option, known)}"))
        elif known.vectors and ":" in chosen and option != "schedule":
            what = f"the loops of word vectors know no {option} of a user's own; {name} takes {' or '.join(fits)}."
            found.append((option, what))
    if known.vectors and (section.augment or section.init or section.init_embeddings):
        found.append(("model", f"{name} takes neither augment nor init nor init_embeddings."))
    if wrong := dropout_problem(section.objective.options, section.model.options):
        found.append(("objective", wrong))
    tied = section.model.options.get("tied", True)
    if section.init_embeddings and section.init_embeddings.freeze_steps and not tied:
        what = "frozen embeddings under an untied head: the head would fit an embedding that then moves away under it."
        found.append(("init_embeddings", f"{what} Write tied: true, or leave freeze_steps out."))
    return found


def _reason(option: str, known: Family) -> str:
    if known.vectors and option == "engine":
        return " A step moves a few rows of the vectors: there is no gradient and no optimizer state for ZeRO to share."
    return ""
