"""The ways of distilling that benchmarks/distill_speed.py times: textbrewer's and attar's own.

All start from the same files and teach the same student with the same batch size. attar's sides
are its real stage, from the caches to the optimiser (``attar.distillation.stage.teach``); only the
scoring of dev is left to the stopwatch. textbrewer's side is its GeneralDistiller in the
original's settings: padded to 70, fp32, the teacher run in every step. It gets attar's fused form
of the original's optimiser, which is faster than the original's.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import torch
from peers.traffic import LONGEST, read_examples
from torch.utils.data import DataLoader, StackDataset

from attar.distillation.matches import PRESET_MATCHES, Match
from attar.distillation.stage import teach
from attar.distillation.teachers import Teacher, load_teacher
from attar.models.checkpoint import Checkpoint, batch_to, load_checkpoint
from attar.recipe.load import DistillRecipe, make_recipe
from attar.task import Example
from attar.training import stage as training_stage
from attar.training.fit import DevScore, fit
from attar.training.optimisers import build_optimiser
from attar.training.schedules import schedule_factor
from attar.training.stage import dev_scorer
from distilling.files import BATCH, readme_command
from original.arguments import parse_arguments
from original.marks import RowFormat
from original.models import load_student, load_teachers
from original.translate import to_recipe

if TYPE_CHECKING:
    import textbrewer  # type: ignore[import-untyped]

    from distilling.worker import Watch

_T = TypeVar("_T")
_MATCHES = ("L4t_hidden_mse", "L4_hidden_smmd")
ROW_FORMAT = RowFormat(marks=True, lower_case=True)
"""How the original reads the files: marks around the term, lower case."""


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
    args = arguments(folder, out)
    settings = to_recipe(args, [], marks=ROW_FORMAT.marks).distill
    student, teachers = _models(folder, args)
    teacher = teachers[0].checkpoint
    assert teacher is not None
    inputs = textbrewers_batch(teacher, student, read_examples(folder / "train.json"))
    rows = {side: StackDataset(**tensors) for side, tensors in inputs.items()}  # type: ignore[arg-type]
    loader = DataLoader(StackDataset(**rows), BATCH, shuffle=True, drop_last=True)
    distiller = distiller_of(teacher.model, student.model, out)
    total = watch.epochs * len(loader)

    def factor(step: int) -> float:
        return schedule_factor(settings.schedule, step, total, settings.warmup, settings.schedule_options)

    student.model.train()
    watch.start()
    distiller.train(
        build_optimiser(student.model, torch.nn.Module(), settings),  # textbrewer adds its projections
        loader,
        scheduler_class=torch.optim.lr_scheduler.LambdaLR,
        scheduler_args={"lr_lambda": factor},
        num_steps=total,
        batch_postprocessor=lap_counter(watch, dev_scorer(student, read_examples(folder / "dev.json"))),
        output_hidden_states=True,
    )


def lap_counter(watch: Watch, score: Callable[[], DevScore]) -> Callable[[_T], _T]:
    """Passes batches on and reports every lap: a batch is fetched when the step before it is done."""
    steps = itertools.count()

    def counted(batch: _T) -> _T:
        step = next(steps)
        if step and step % watch.steps == 0:
            watch.lap(score)
        return batch

    return counted


def _train_classic(folder: Path, out: Path, watch: Watch, *, flags: Sequence[str] = ()) -> None:
    """What ``classic/main.distill.py`` trains."""
    args = arguments(folder, out, *flags)
    _teach(folder, out, watch, args, to_recipe(args, [], marks=ROW_FORMAT.marks).distill)


def _train_attar(folder: Path, out: Path, watch: Watch, **settings: object) -> None:
    """What a recipe of attar's trains, at its defaults but for the batch, the temperature and the matches."""
    distill = {"batch_size": BATCH, "temperature": 8, "head_init": "random", "drop_last": True, **settings}
    recipe = make_recipe(
        {"name": "distill-speed", "task": "cosmetics", "train": {"encoder": "bert"}, "distill": distill},
        where="this script",
    )
    _teach(folder, out, watch, arguments(folder, out), recipe.distill)


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
    "classic-cached": partial(_train_classic, flags=["--teacher_cached"]),
    "attar-features": partial(_train_attar, matches=_MATCHES, match_scale="textbrewer", cache="features"),
    "attar": _train_attar,
}
"""Side -> ``(folder of the files, folder to write into, watch)``; trains until the watch ends it."""
