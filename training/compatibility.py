"""Checks which objective, optimizer, schedule and engine a model family supports. Compares names only."""

from __future__ import annotations

from training.families import FAMILIES, Family, FamilyField, order_of, supports
from training.objectives.section import dropout_problem
from training.section import Anomalies, Pretrain

# augmentations after which every document lies where it lay
KEEP_PLACES = ("token_dropout", "sentence_shuffling")


def needs(section: Pretrain) -> tuple[str, ...]:
    """Kinds of artifact that the family needs besides tokens and tokenizer."""
    family = FAMILIES.get(section.model.name)
    return family.needs if family else ()


def family_problems(section: Pretrain) -> list[tuple[str, str]]:
    """Options that do not fit the family or each other, as (option, sentence)."""
    name = section.model.name
    family = FAMILIES.get(name)
    if family is None:
        return _reduction_problems(section)  # a user's own family checks its options itself
    problems: list[tuple[str, str]] = []
    fields: tuple[FamilyField, ...] = ("objectives", "optimizers", "schedules", "engines")
    for field in fields:
        option = field.removesuffix("s")
        alternative = getattr(section, option).name
        supported = " or ".join(getattr(family, field))
        if not supports(family, field, alternative):
            reason = _reason(option, family)
            problems.append((option, f"{alternative} is not for {name}; it takes {supported}.{reason}"))
        elif family.vectors and ":" in alternative and option != "schedule":
            sentence = f"word vectors cannot be trained with a user's own {option}; {name} takes {supported}."
            problems.append((option, sentence))
    if family.vectors and (section.augment or section.init or section.init_embeddings):
        problems.append(("model", f"{name} takes neither augment nor init nor init_embeddings."))
    problems += _row_problems(section, family)
    problems += _reduction_problems(section)
    if objective_problem := dropout_problem(section.objective.options, section.model.options):
        problems.append(("objective", objective_problem))
    tied = section.model.options.get("tied", True)
    if section.init_embeddings and section.init_embeddings.freeze_steps and not tied:
        reason = "frozen embeddings with an untied head: the head would be fitted to an embedding that changes later."
        problems.append(("init_embeddings", f"{reason} Write tied: true, or remove freeze_steps."))
    if mixing_problem := mixture_problem(section):
        problems.append(("mixture", mixing_problem))
    if mask_problem := document_mask_problem(section, family):
        problems.append(("document_mask", mask_problem))
    return problems


def document_mask_problem(section: Pretrain, family: Family) -> str | None:
    """Why the documents of a row cannot be masked from each other; None if they can, or if that is not asked for."""
    if not section.document_mask:
        return None
    name, objective = section.model.name, section.objective
    moving = [augmentation.name for augmentation in section.augment if augmentation.name not in KEEP_PLACES]
    if family.vectors:
        return f"{name} has no attention: a window of words is all that it sees. Remove document_mask."
    if not family.document_mask:
        masked = " or ".join(family_name for family_name, candidate in FAMILIES.items() if candidate.document_mask)
        return f"{name} reads a row from end to end; only {masked} can tell its documents apart. Remove document_mask."
    if objective.name == "contrastive":
        return "the texts of contrastive prediction lie in one document each already. Remove document_mask."
    if objective.options.get("pairs", "none") != "none":
        return "a pair of texts is read as one row. Write pairs: none, or remove document_mask."
    if moving:
        return (
            f"{' and '.join(moving)} moves tokens, so that the rows of pack no longer say where documents begin. "
            "Remove document_mask, or that augmentation."
        )
    return None


def _reduction_problems(section: Pretrain) -> list[tuple[str, str]]:
    """Where gradients cannot be summed in a tree, or an option would have no effect."""
    family = FAMILIES.get(section.model.name)
    if section.reduction != "tree":
        unused = section.micro_batches is not None
        sentence = "it is the number of leaves of reduction: tree. Write reduction: tree, or remove micro_batches."
        return [("micro_batches", sentence)] * unused
    if family is not None and family.vectors:
        return [("reduction", "word vectors have no gradients; their blocks have the same bytes with any workers.")]
    if section.engine.name != "plain":
        sentence = "tree is for the engine plain; ZeRO sums in an order that depends on the workers."
        return [("reduction", f"{sentence} Write engine: plain, or remove reduction.")]
    if section.engine.options.get("micro_batch_tokens") is not None:
        sentence = "micro_batch_tokens has no effect under reduction: tree. Write pretrain.micro_batches instead."
        return [("engine", sentence)]
    return []


def _row_problems(section: Pretrain, family: Family) -> list[tuple[str, str]]:
    """Families that cannot leave out single rows, or undo a step."""
    name = section.model.name
    if family.vectors and section.anomalies != Anomalies():
        reason = "word vectors are updated row by row, so a step cannot be undone; what is not finite stops them."
        return [("anomalies", f"{reason} Remove anomalies.")]
    if not section.skip_rows:
        return []
    if family.vectors:
        return [("skip_rows", f"{name} takes no skip_rows. Remove the documents from the corpus instead.")]
    if order_of(name, section.objective.name) == "streams":
        sentence = f"{name} carries a state from row to row, so a row cannot be left out of the middle of its text."
        return [("skip_rows", f"{sentence} Remove its documents from the corpus instead.")]
    return []


def mixture_problem(section: Pretrain) -> str | None:
    """Why sources and languages cannot have weights; None if they can, or if none are asked for."""
    if section.mixture is None:
        return None
    return _stream_problem(
        section, words="every word once an epoch. Remove mixture.",
        state="so that rows cannot be drawn by weights. Remove mixture.",
    )  # fmt: skip


def whole_documents_problem(section: Pretrain) -> str | None:
    """Why rows that do not follow the order of the text do not serve this model; None if they do."""
    return _stream_problem(
        section, words="and best_fit changes its order.", state="and rows of best_fit do not continue each other."
    )


def _stream_problem(section: Pretrain, *, words: str, state: str) -> str | None:
    """Why rows cannot change places: `words` of a model that reads one stream of words, `state` of one that carries it;
    None if they can."""
    name = section.model.name
    family = FAMILIES.get(name)
    if family is not None and family.vectors:
        return f"{name} reads the text as one stream of words, {words}"
    if order_of(name, section.objective.name) == "streams":
        return f"{name} carries its state from row to row, {state}"
    return None


def _reason(option: str, family: Family) -> str:
    if family.vectors and option == "engine":
        return " A step changes a few rows of vectors: there is no gradient and no optimizer state for ZeRO to share."
    return ""
