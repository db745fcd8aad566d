"""Which layers of the student learn from which layers of which teacher.

Layers can be compared only token by token, so a match needs a teacher that encodes texts as the
student does, to the same tokens. The student takes the tokenizer of the first checkpoint among its
teachers; the others give logits only, as in textbrewer all of several teachers do.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from attar.distillation.matches import (
    AUTO_MATCHES,
    PRESET_MATCHES,
    Match,
    check_layers,
    check_names,
    wanted,
    with_projections,
)
from attar.distillation.teacher_outputs import OnlineTeacher
from attar.distillation.teachers import Teacher
from attar.errors import RecipeError
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import AttentionForm, MatchRecipe
from attar.task import Example
from attar.text.encoding import Encoding, TextEncoder

__all__ = ["find_matched", "resolve_matches"]

_LOG = logging.getLogger(__name__)


def resolve_matches(
    entries: Sequence[MatchRecipe], student: Checkpoint, teacher: Checkpoint
) -> tuple[Match, ...]:
    """The matches of a recipe for these two models, with the projections that they need.

    Raises:
        RecipeError: An unknown preset or loss, or a layer that one of the models does not have.
    """
    check_names(entries)
    ours, theirs = student.model.config, teacher.model.config
    matches: list[Match] = []
    for entry in entries:
        match entry:
            case MatchRecipe(preset="auto" | "auto_hidden" as name):
                chosen = AUTO_MATCHES[name](ours.num_hidden_layers, theirs.num_hidden_layers)
            case MatchRecipe(preset=str(name)):
                chosen = PRESET_MATCHES[name]
            case _:
                assert entry.teacher_layer is not None
                assert entry.student_layer is not None
                # Match refuses a loss that it does not know, and names the nearest.
                loss: Any = entry.loss
                chosen = (Match(entry.feature, loss, entry.teacher_layer, entry.student_layer),)
        matches += [replace(one, weight=one.weight * entry.weight) for one in chosen]
    check_layers(matches, ours.num_hidden_layers, theirs.num_hidden_layers)
    return with_projections(matches, ours.hidden_size, theirs.hidden_size)


def find_matched(
    teachers: Sequence[Teacher],
    student: Checkpoint,
    examples: Sequence[Example],
    entries: Sequence[MatchRecipe],
    form: AttentionForm,
) -> tuple[Teacher, OnlineTeacher, tuple[Match, ...]]:
    """The first teacher that encodes as the student does, and what is compared with it.

    All the training examples must be encoded alike; ``form`` is what attentions are.

    Returns:
        The teacher, the same ready to capture the layers that the matches want, and the matches.

    Raises:
        RecipeError: No teacher encodes as the student does, or the matches do not fit the models.
    """
    ours = student.encoder.encode(examples)
    reasons = []
    for teacher in teachers:
        checkpoint = teacher.checkpoint
        if checkpoint is None:
            reasons.append(f"{teacher.name} has no layers")
            continue
        online = OnlineTeacher(checkpoint, examples, {}, form)
        other = _num_encoded_differently(student.encoder, ours, checkpoint.encoder, online.encodings)
        if other:
            difference = _difference(student.encoder, checkpoint.encoder)
            reasons.append(f"{teacher.name} encodes {other} of {len(ours)} examples differently{difference}")
            continue
        matches = resolve_matches(entries, student, checkpoint)
        online.layers = wanted(matches).teacher
        names = ", ".join(match.name for match in matches)
        _LOG.info("matches with %s: %s; all other teachers give logits only", teacher.name, names)
        return teacher, online, matches
    raise RecipeError(
        f"distill.matches: no teacher encodes as the student does ({'; '.join(reasons)}). Leave matches "
        "out to learn from logits alone; or name first a teacher trained with this [encode]"
    )


def _num_encoded_differently(
    encoder: TextEncoder, ours: Sequence[Encoding], other: TextEncoder, theirs: Sequence[Encoding]
) -> int:
    """How many examples have other tokens, or other positions, in the two."""
    tokens = (encoder.tokenizer.id_to_token(i) for i in range(encoder.tokenizer.get_vocab_size()))
    their_id = np.array(
        [-1 if t is None or (i := other.tokenizer.token_to_id(t)) is None else i for t in tokens], np.int64
    )
    return sum(
        (a.second, a.first_position) != (b.second, b.first_position)
        or not np.array_equal(their_id[a.ids], b.ids)
        for a, b in zip(ours, theirs, strict=True)
    )


def _difference(ours: TextEncoder, theirs: TextEncoder) -> str:
    """The settings of the input that differ, in words; empty if only the tokens do."""
    here, there = asdict(ours.spec), asdict(theirs.spec)
    found = [f"{key} {there[key]!r}, the student {here[key]!r}" for key in here if here[key] != there[key]]
    return f" ({'; '.join(found)})" if found else ""
