"""The verbs' work, and how ``attar run`` strings them together.

Each function is one verb: folders in, one stamped folder out. What a stage depends on stands beside its
work, as ``inputs`` in its module. ``run_recipe`` is the whole line:

    sources -> data/ -> teacher/ -> student/ (and finetuned/) -> artifact/ -> report/

With texts in ``[pretrain]`` there is pretrained/ after data/, from which the student or the teacher
starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attar.classic.files import ClassicFiles
from attar.errors import AttarError
from attar.recipe.load import ExportRecipe, Recipe, SourceRecipe
from attar.recipe.renamed import with_old_names
from attar.records.prepared_folder import check_labels, load_split
from attar.stage_cache import fingerprint, is_finished, is_first_process, run_stage

if TYPE_CHECKING:
    from attar.evaluation.baselines import WindowedLinear
    from attar.models.checkpoint import Checkpoint

__all__ = [
    "Models",
    "RunFolders",
    "distill",
    "evaluate",
    "export",
    "finetune",
    "prepare",
    "pretrain",
    "run_recipe",
    "train",
]

_LOG = logging.getLogger(__name__)


class RunFolders(NamedTuple):
    """Where a run keeps what each verb wrote."""

    data: Path
    pretrained: Path
    teacher: Path
    student: Path
    finetuned: Path
    artifact: Path
    report: Path

    @classmethod
    def under(cls, out: Path) -> RunFolders:
        """The folders of a run."""
        return cls(*(out / name for name in cls._fields))


class Models(NamedTuple):
    """The models that one report compares; None where there is none."""

    teacher: Path | None = None
    student: Path | None = None
    finetuned: Path | None = None
    artifact: Path | None = None


def prepare(recipe: Recipe, sources: Sequence[SourceRecipe | Path | str], out: Path) -> Path:
    """Sources -> train.json, dev.json, test.json, rejected.jsonl, manifest.json and the audit.

    A server is not asked again once the folder is whole.
    """
    from attar.records import prepare as stage

    chosen = [SourceRecipe.model_validate(source) for source in sources]
    settings = (chosen, recipe.resolved_task(), recipe.data, recipe.seed)
    inputs = stage.inputs(*settings)
    work = partial(stage.prepare, *settings, out)
    done = run_stage(out, "prepare", inputs, work, earlier=with_old_names(inputs))
    if not done and any(source.is_remote for source in chosen):
        _LOG.info("prepare: the server was not asked again; remove %s to fetch again", out)
    return out


def pretrain(recipe: Recipe, data: Sequence[Path], out: Path) -> Path:
    """Texts without labels -> a student, or an encoder, that has learnt from them.

    ``data`` are prepared folders of the tasks to come; see ``attar.pretraining.stage.pretrain``.
    """
    from attar.pretraining import stage

    settings = stage.PretrainSettings.of(recipe)
    inputs = stage.inputs(settings, data)
    whole = recipe.pretrain.model_dump(mode="json", exclude={"texts"})
    earlier = with_old_names(inputs | {"pretrain": whole}, without={"task"})
    run_stage(
        out, "pretrain", inputs, partial(stage.pretrain, settings, data, out), earlier=earlier, shared=True
    )
    return out


def train(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the teacher's checkpoint."""
    from attar.training import stage

    settings = stage.TrainSettings.of(recipe)
    check_labels(data, settings.task.labels)
    inputs = stage.inputs(settings, data)
    earlier = with_old_names(inputs | _whole_section(recipe, "train"))
    run_stage(out, "train", inputs, partial(stage.train, settings, data, out), earlier=earlier, shared=True)
    return out


def distill(recipe: Recipe, data: Path, teachers: Path | Sequence[Path | str], out: Path) -> Path:
    """A prepared folder and teachers (checkpoints, or "linear") -> the student's checkpoint."""
    from attar.distillation import stage
    from attar.distillation.settings import StudentSettings

    named = [teachers] if isinstance(teachers, Path) else list(teachers)
    settings = StudentSettings.taught(recipe)
    check_labels(data, settings.task.labels)
    inputs = stage.distill_inputs(settings, data, named)
    fit = _whole_section(recipe, "distill")["distill"] | inputs["distill"]
    del fit["more_teachers"], fit["cache_limit_gb"]
    encoder = _whole_section(recipe, "train") if "train" in inputs else {}
    earlier = with_old_names(inputs | encoder | {"distill": fit}, without={"transfer_set"})
    work = partial(stage.distill, settings, data, named, out)
    run_stage(out, "distill", inputs, work, earlier=earlier, shared=True)
    return out


def finetune(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the same student without a teacher, the baseline of the report."""
    from attar.distillation import stage
    from attar.distillation.settings import StudentSettings

    settings = StudentSettings.alone(recipe)
    check_labels(data, settings.task.labels)
    inputs = stage.finetune_inputs(settings, data)
    whole = _whole_section(recipe, "train") | {"finetuning": settings.fit.model_dump(mode="json")}
    work = partial(stage.finetune_student, settings, data, out)
    run_stage(out, "finetune", inputs, work, earlier=with_old_names(inputs | whole), shared=True)
    return out


def export(recipe: Recipe, checkpoint: Path | ClassicFiles, data: Path, out: Path) -> Path:
    """A checkpoint, or the files of a classic one -> the verified artifact."""
    from attar.classic.checkpoint import load_classic
    from attar.export import stage
    from attar.models.checkpoint import load_checkpoint

    task = recipe.resolved_task()
    load: Callable[[], Checkpoint]
    if isinstance(checkpoint, ClassicFiles):
        checkpoint = checkpoint.resolved(task)
        check_labels(data, task.labels)
        load = partial(load_classic, checkpoint, task, recipe.encode.max_tokens)
        model = _whole_section(recipe, "encode") | _classic_inputs(checkpoint)
    else:
        load, model = partial(load_checkpoint, checkpoint), {"checkpoint": fingerprint(checkpoint)}
    inputs = stage.inputs(task, recipe.seed, recipe.export, data, model)
    work = partial(_export, load, str(checkpoint), data, out, recipe.export, recipe.name)
    run_stage(out, "export", inputs, work, earlier=with_old_names(inputs), in_place=True)
    return out


def _export(
    load: Callable[[], Checkpoint], name: str, data: Path, out: Path, settings: ExportRecipe, run: str
) -> None:
    """Load a checkpoint and write its artifact, verified on a prepared folder."""
    from attar.export.stage import export_checkpoint

    checkpoint = load()
    check_labels(data, checkpoint.task.labels, name)
    dev, train = load_split(data, "dev"), load_split(data, "train")
    export_checkpoint(checkpoint, dev, out, settings, {"recipe": run}, train=train)


def _classic_inputs(files: ClassicFiles) -> dict[str, Any]:
    """What a classic checkpoint depends on, once ``resolved``."""
    paths = {"weights": files.weights, "config": files.config, "vocab": files.vocab}
    hashes = {name: fingerprint(path) for name, path in paths.items() if path is not None}
    return hashes | {"classic": [files.architecture, files.lower_case, files.marks, *files.labels]}


def evaluate(
    recipe: Recipe, data: Path, models: Models, out: Path, linear: WindowedLinear | None = None
) -> Path:
    """A prepared folder's test split and the models -> report.json and report.html.

    ``linear`` is the linear baseline if it has been fitted on this data already.
    """
    from attar.evaluation import stage

    folders = {name: path for name, path in models._asdict().items() if path is not None}
    settings = stage.EvaluateSettings.of(recipe)
    check_labels(data, settings.task.labels)
    inputs = stage.inputs(settings, data, folders)
    earlier = with_old_names(inputs | _whole_section(recipe, "encode"))
    work = partial(stage.evaluate_models, settings, data, folders, out, linear)
    run_stage(out, "evaluate", inputs, work, earlier=earlier)
    return out


def _whole_section(recipe: Recipe, name: str) -> dict[str, Any]:
    """A section with every key, as the stamps of earlier versions held it."""
    return {name: getattr(recipe, name).model_dump(mode="json")}


def _pretrained(recipe: Recipe, at: RunFolders, say: Callable[[str], None]) -> Recipe:
    """The recipe whose student, or teacher, starts from what the texts of ``[pretrain]`` taught it."""
    if not recipe.pretrain.texts:
        return recipe
    say("pretrain: on texts without labels")
    pretrain(recipe, [at.data], at.pretrained)
    if recipe.pretrain.kind == "mlm":
        train = recipe.train.model_copy(update={"encoder": str(at.pretrained)})
        return recipe.model_copy(update={"train": train})
    start = {"start": "pretrained", "from_checkpoint": str(at.pretrained)}
    return recipe.model_copy(update={"student": recipe.student.model_copy(update=start)})


def run_recipe(recipe: Recipe, out: Path, say: Callable[[str], None]) -> RunFolders:
    """Every verb of a recipe in turn; what is up to date is kept.

    Args:
        recipe: The whole experiment.
        out: The run folder.
        say: Called with a line for each stage that begins, and for what is known before it.
    """
    at = RunFolders.under(out)
    say(f"{recipe.name}: {', '.join(_verbs(recipe))} -> {out}")
    if recipe.distill.matches:
        from attar.distillation.pairing import check_names

        check_names(recipe.distill.matches)  # now, not after the teacher was trained
    say("prepare: reading, checking and splitting the labelled reviews")
    prepare(recipe, recipe.data.sources, at.data)
    linear = _before_training(recipe, at, say)
    recipe = _pretrained(recipe, at, say)
    say("train: the teacher")
    train(recipe, at.data, at.teacher)
    say("distill: the student, taught by the teacher")
    distill(recipe, at.data, at.teacher, at.student)
    say("distill: the same student without a teacher, for comparison")
    finetune(recipe, at.data, at.finetuned)
    say("export: the student in int8, verified against its checkpoint")
    export(recipe, at.student, at.data, at.artifact)
    say("evaluate: all of them on the test split")
    models = Models(at.teacher, at.student, at.finetuned, at.artifact)
    evaluate(recipe, at.data, models, at.report, linear)
    return at


def _verbs(recipe: Recipe) -> list[str]:
    before = ["prepare", *(["pretrain"] if recipe.pretrain.texts else [])]
    return [*before, "train", "distill", "finetune", "export", "evaluate"]


def _before_training(recipe: Recipe, at: RunFolders, say: Callable[[str], None]) -> WindowedLinear | None:
    """Report what was prepared, how long the rest may take, and the score of a linear model.

    Returns:
        The linear model, for the report; None where nothing is left to do.
    """
    folders = {"train": at.teacher, "distill": at.student, "finetune": at.finetuned}
    folders |= {"export": at.artifact, "evaluate": at.report}
    left = [name for name, folder in folders.items() if not is_finished(folder)]
    if not left or not is_first_process():
        return None
    from attar.estimate import describe_estimate, estimate_seconds
    from attar.evaluation.baselines import WindowedLinear
    from attar.records.prepared_folder import load_manifest

    for name, labels in load_manifest(at.data)["labels"].items():
        counts = ", ".join(f"{label} {count}" for label, count in labels.items())
        say(f"{name}: {sum(labels.values())} examples ({counts})")
    train, dev, test = (load_split(at.data, name) for name in ("train", "dev", "test"))
    try:
        seconds = estimate_seconds(recipe, train, len(dev), len(test))
    except AttarError as error:  # of the encoder: the stage that needs it says what to do
        _LOG.info("no estimate of the time: %s", error)
    else:
        say(describe_estimate({name: seconds[name] for name in left}))
    linear = WindowedLinear(recipe.resolved_task(), train, dev)
    say(f"the linear model that the student must beat: dev macro-F1 {linear.dev_macro_f1:.4f}")
    return linear
