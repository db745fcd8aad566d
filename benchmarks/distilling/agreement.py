"""Whether two of the sides compute the same losses on the first batch, before anything is timed.

    python -m distilling.agreement FILES OUT

serves one request, with the losses of textbrewer, of attar with the teacher in fp32, and of attar
with the teacher in the precision of ``main.distill.py``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch
from peers.traffic import LONGEST, read_examples

from attar.bench.processes import Requests
from attar.distillation.match_losses import MatchLosses
from attar.distillation.objective import Distillation
from attar.distillation.pairing import find_matched
from attar.distillation.teacher_outputs import TeacherEnsemble
from attar.models.checkpoint import Checkpoint, batch_to
from attar.task import Example
from distilling.files import BATCH
from distilling.sides import ROW_FORMAT, arguments, distiller_of, textbrewers_batch
from original.models import load_student, load_teachers
from original.translate import to_recipe


@torch.no_grad()
def first_losses(folder: Path, out: Path) -> dict[str, list[float]]:
    """The losses on the first batch by side: logits first, then match by match, dropout off."""
    args = arguments(folder, out)
    settings = to_recipe(args, [], marks=ROW_FORMAT.marks).distill
    examples = read_examples(folder / "train.json")[:BATCH]
    student, teachers = load_student(args, ROW_FORMAT), load_teachers(args, ROW_FORMAT)
    student.model.eval()
    teacher, online, matches = find_matched(teachers, student, examples, settings.matches, settings.attention)
    assert teacher.checkpoint is not None
    distiller = distiller_of(teacher.checkpoint.model, student.model, out)
    widths = [model.config.hidden_size for model in (student.model, teacher.checkpoint.model)]
    losses = MatchLosses(matches, *widths, max_tokens=LONGEST)
    for mine, given in zip(losses.projections, distiller.projs, strict=True):
        if given is not None:
            mine.load_state_dict(given.state_dict())
    objective = Distillation(student.task, examples, TeacherEnsemble([(1.0, online)]), settings, losses)
    quick = _ours(objective, student, examples)
    with mock.patch(
        "attar.distillation.teacher_outputs.bf16_inference", lambda _device: contextlib.nullcontext()
    ):
        exact = _ours(objective, student, examples)
    batch = textbrewers_batch(teacher.checkpoint, student, examples)
    _, found = distiller.train_on_batch(batch, {"output_hidden_states": True})
    theirs = [float(value) for value in found.values()]
    return {"textbrewer": theirs, "attar": exact, "attar_as_run": quick}


def _ours(objective: Distillation, student: Checkpoint, examples: Sequence[Example]) -> list[float]:
    """Attar's losses, of a batch padded to its longest example."""
    inputs = batch_to(student, student.encoder.encode(examples))
    found = objective(student.model, inputs, torch.arange(len(examples)))
    return [float(value.mean()) for name, value in found.items() if name != "hard"]


def main(arguments: list[str]) -> None:
    """Reply with the losses."""
    requests = Requests()
    requests.next()
    requests.reply(first_losses(*map(Path, arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
