"""The ways of distilling that benchmarks/distill_speed.py times: textbrewer's and attar's own.

All start from the same files and teach the same student with the same batch size. attar's sides
are its real stage, from the caches to the optimiser (``attar.distillation.stage.teach``); only the
scoring of dev is left to the stopwatch. textbrewer's side is its GeneralDistiller in the
original's settings: padded to 70, fp32, the teacher run in every step. It gets attar's fused form
of the original's optimiser, which is faster than the original's.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import torch
from peers.traffic import LONGEST, read_examples

from attar.distillation.matches import PRESET_MATCHES, Match
from attar.distillation.stage import teach
from attar.distillation.teachers import Teacher, load_teacher
from attar.models.checkpoint import Checkpoint, batch_to, load_checkpoint
from attar.recipe.load import DistillRecipe, make_recipe
from attar.task import Example
from attar.training import stage as training_stage
from attar.training.fit import DevScore, fit
from attar.training.optimisers import BertAdam
from attar.training.schedules import schedule_factor
from attar.training.stage import dev_scorer
from distilling.files import BATCH, readme_command
from original.arguments import parse_arguments
from original.marks import RowFormat
from original.models import load_student, load_teachers
from original.translate import to_recipe

if TYPE_CHECKING:
    import textbrewer  # type: ignore[import-untyped]

__all__ = ["ENDLESS", "ROW_FORMAT", "TRAININGS", "Watch", "arguments", "distiller_of", "textbrewers_batch"]

_MATCHES = ("L4t_hidden_mse", "L4_hidden_smmd")
ENDLESS = 1000
"""Epochs: more than will be seen."""
ROW_FORMAT = RowFormat(marks=True, lower_case=True)
"""How the original reads the files: marks around the term, lower case."""


class Watch:
    """Called by a training when its set-up is done, and then after every few steps.

    Args:
        start: Called once, when the set-up is done.
        lap: Called after every ``steps`` steps with a function that scores the student on dev; ends
            the training by an exception.
        steps: Optimiser steps of a lap.
        epochs: Of the training; its schedule goes by it.
    """

    def __init__(
        self,
        start: Callable[[], None],
        lap: Callable[[Callable[[], DevScore]], None],
        steps: int,
        epochs: int = ENDLESS,
    ) -> None:
        self.start, self.lap, self.steps, self.epochs = start, lap, steps, epochs


def arguments(folder: Path, out: Path, *more: str) -> argparse.Namespace:
    """The README's command line, read as ``main.distill.py`` reads it."""
    return parse_arguments("distill", [*readme_command(folder, out), *more])


def distiller_of(
    teacher: torch.nn.Module, student: torch.nn.Module, out: Path
) -> textbrewer.GeneralDistiller:
    """The distiller of textbrewer with the README's matches, on the CPU, fp32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # textbrewer compares strings by identity
        import textbrewer

    def adaptor(batch: Mapping[str, torch.Tensor], outputs: Any) -> dict[str, Any]:  # noqa: ANN401
        mask = batch["attention_mask"]
        return {"logits": outputs.logits, "hidden": outputs.hidden_states, "inputs_mask": mask}

    matches = [_as_textbrewers(match) for name in _MATCHES for match in PRESET_MATCHES[name]]
    return textbrewer.GeneralDistiller(
        textbrewer.TrainingConfig(device="cpu", output_dir=str(out), ckpt_steps=10**9),
        textbrewer.DistillationConfig(temperature=8, intermediate_matches=matches),
        teacher.eval(), student, adaptor, adaptor,
    )  # fmt: skip


def textbrewers_batch(
    teacher: Checkpoint, student: Checkpoint, examples: Sequence[Example]
) -> dict[str, dict[str, torch.Tensor]]:
    """What textbrewer gives the two models: each one's own token ids, for a pruned student's differ."""
    sides = {"teacher": teacher, "student": student}
    return {name: batch_to(one, one.encoder.encode(examples), length=LONGEST) for name, one in sides.items()}


def _as_textbrewers(match: Match) -> dict[str, Any]:
    def layer(number: object) -> object:
        return [number, number] if match.loss == "mmd" else number

    entry = {
        "feature": match.feature, "loss": match.loss, "weight": match.weight,
        "layer_T": layer(match.teacher_layer), "layer_S": layer(match.student_layer),
    }  # fmt: skip
    return entry | ({"proj": ["linear", *match.projection]} if match.projection else {})


def _models(folder: Path, args: argparse.Namespace) -> tuple[Checkpoint, list[Teacher]]:
    """The original's files with random weights, or trained checkpoints where the folder has them."""
    if not (folder / "student").is_dir():
        return load_student(args, ROW_FORMAT), load_teachers(args, ROW_FORMAT)
    student = load_checkpoint(folder / "student")
    return student, [load_teacher(folder / "teacher", student.task)]


def _train_textbrewer(folder: Path, out: Path, watch: Watch) -> None:
    student, teachers = _models(folder, arguments(folder, out))
    teacher = teachers[0].checkpoint
    assert teacher is not None
    inputs = textbrewers_batch(teacher, student, read_examples(folder / "train.json"))
    data = [
        {side: {name: tensor[row] for name, tensor in tensors.items()} for side, tensors in inputs.items()}
        for row in range(len(inputs["student"]["input_ids"]))
    ]
    dataset = cast("torch.utils.data.Dataset[Any]", data)  # a list is as good
    loader = torch.utils.data.DataLoader(dataset, BATCH, shuffle=True, drop_last=True)
    distiller = distiller_of(teacher.model, student.model, out)
    decay = {True: 0.01, False: 0.0}
    groups = [
        {
            "params": [p for name, p in student.model.named_parameters() if _decays(name) is decays],
            "weight_decay": decay[decays],
        }
        for decays in decay
    ]
    total = watch.epochs * len(loader)
    student.model.train()
    watch.start()
    distiller.train(
        BertAdam(groups, lr=1e-4),
        _Watched(loader, watch, dev_scorer(student, read_examples(folder / "dev.json"))),
        scheduler_class=torch.optim.lr_scheduler.LambdaLR,
        scheduler_args={
            "lr_lambda": lambda step: schedule_factor(
                "slanted_triangular", step, total, 0.1, (30.0, 0.0, 1.0)
            )
        },
        num_steps=total,
        output_hidden_states=True,
    )


def _decays(name: str) -> bool:
    return not name.endswith(("bias", "LayerNorm.weight"))


class _Watched:
    """A loader that reports every lap: a batch is fetched when the step before it is done."""

    def __init__(
        self, loader: torch.utils.data.DataLoader[Any], watch: Watch, score: Callable[[], DevScore]
    ) -> None:
        self._loader, self._watch, self._score, self._step = loader, watch, score, 0

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        for batch in self._loader:
            if self._step and self._step % self._watch.steps == 0:
                self._watch.lap(self._score)
            self._step += 1
            yield batch


def _train_classic(folder: Path, out: Path, watch: Watch, *flags: str) -> None:
    """What ``classic/main.distill.py`` trains."""
    args = arguments(folder, out, *flags)
    _teach(folder, out, watch, args, to_recipe(args, [], marks=ROW_FORMAT.marks).distill)


def _train_cached(folder: Path, out: Path, watch: Watch) -> None:
    _train_classic(folder, out, watch, "--teacher_cached")


def _train_attar(folder: Path, out: Path, watch: Watch, **settings: object) -> None:
    """What a recipe of attar's trains, at its defaults but for the batch, the temperature and the matches."""
    distill = {"batch_size": BATCH, "temperature": 8, "head_init": "random", "drop_last": True, **settings}
    recipe = make_recipe(
        {"name": "distill-speed", "task": "cosmetics", "distill": distill}, where="this script"
    )
    _teach(folder, out, watch, arguments(folder, out), recipe.distill)


def _train_logits(folder: Path, out: Path, watch: Watch) -> None:
    _train_attar(folder, out, watch)


def _train_features(folder: Path, out: Path, watch: Watch) -> None:
    _train_attar(folder, out, watch, matches=_MATCHES, match_scale="textbrewer", cache="features")


def _teach(folder: Path, out: Path, watch: Watch, args: argparse.Namespace, settings: DistillRecipe) -> None:
    """Attar's distil stage with the watch in place of the scoring of dev."""
    train = read_examples(folder / "train.json")
    laps = len(train) // BATCH // watch.steps
    settings = settings.model_copy(update={"epochs": watch.epochs, "evaluations_per_epoch": laps})
    dev = read_examples(folder / "dev.json")
    student, teachers = _models(folder, args)
    score = dev_scorer(student, dev)

    def lap() -> DevScore:
        watch.lap(score)
        return DevScore(0.0)

    def timed_fit(*positional: Any, **named: Any) -> object:  # noqa: ANN401 - whatever fit takes
        watch.start()
        return fit(*positional, **named)

    with mock.patch.object(training_stage, "fit", timed_fit):
        teach(
            student, teachers, train, dev, settings, out,
            seed=args.random_seed, notes={"role": "student"}, evaluate=lap,
        )  # fmt: skip


TRAININGS: Mapping[str, Callable[[Path, Path, Watch], None]] = {
    "textbrewer": _train_textbrewer,
    "classic": _train_classic,
    "classic-cached": _train_cached,
    "attar-features": _train_features,
    "attar": _train_logits,
}
"""Side -> ``(folder of the files, folder to write into, watch)``; trains until the watch ends it."""
