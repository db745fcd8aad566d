"""The verbs' work, and how ``attar run`` strings them together.

Each function is one verb: folders in, one stamped folder out. ``run_recipe`` is the whole line:

    sources -> data/ -> teacher/ -> student/ (and finetuned/) -> artifact/ -> report/

With texts in ``[pretrain]`` there is pretrained/ after data/, from which the student or the teacher
starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attar.classic.files import ClassicFiles, marks_from
from attar.errors import AttarError, RecipeError
from attar.recipe.load import Recipe, SourceRecipe
from attar.stage_cache import identity_of, is_finished, is_first_process, run_stage

if TYPE_CHECKING:
    from attar.evaluation.baselines import WindowedLinear

__all__ = [
    "ClassicFiles",
    "Models",
    "RunFolders",
    "distill",
    "evaluate",
    "export",
    "finetune",
    "marks_from",
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
    chosen = [SourceRecipe.model_validate(source) for source in sources]
    task = recipe.resolved_task()
    settings = recipe.data.model_dump(mode="json", exclude={"sources"})
    inputs = {
        "task": task.to_json(),
        "settings": settings,
        "seed": recipe.seed,
        "sources": [_source_identity(source) for source in chosen],
    }

    def work() -> None:
        from attar.records.prepare import prepare as write

        write(chosen, task, recipe.data, recipe.seed, out)

    done = run_stage(out, "prepare", inputs, work)
    if not done and any(source.is_remote for source in chosen):
        _LOG.info("prepare: the server was not asked again; remove %s to fetch anew", out)
    return out


def _source_identity(source: SourceRecipe) -> dict[str, Any]:
    """What a prepared folder depends on: how a source is read, and its files where there are some."""
    from attar.records.remote.fetch import shown_path

    settings = source.model_dump(mode="json", exclude={"path", "join"})
    if source.is_remote:
        return settings | {"path": shown_path(source)}
    join = {"on": source.join.on, "file": identity_of(Path(source.join.path))} if source.join else None
    file, _, sheet = source.path.partition("#")
    return settings | {"file": identity_of(Path(file)), "sheet": sheet, "join": join}


def _inputs(recipe: Recipe, sections: Sequence[str], **folders: Path) -> dict[str, Any]:
    identities = {name: identity_of(folder) for name, folder in folders.items()}
    if "encode" in sections:
        _check_labels(folders["data"], recipe.resolved_task().labels, "the recipe's task")
    if "train" in sections and Path(recipe.train.encoder).is_dir():
        identities["encoder"] = identity_of(Path(recipe.train.encoder))
    chosen = {name: recipe.model_dump(mode="json")[name] for name in sections}
    if "student" in chosen and (start := chosen["student"].pop("from_checkpoint")) is not None:
        identities["pretrained"] = identity_of(Path(start))
    task = recipe.resolved_task().to_json()
    return {"task": task, "seed": recipe.seed, **chosen, **identities}


def _check_labels(data: Path, labels: Sequence[str], whose: str) -> None:
    from attar.records.prepared_folder import load_manifest

    prepared = load_manifest(data)["task"]["labels"]
    if prepared != list(labels):
        raise RecipeError(
            f"{data} was prepared for the labels {', '.join(prepared)}; {whose} has {', '.join(labels)}: "
            "prepare the data with the same recipe"
        )


def pretrain(recipe: Recipe, data: Sequence[Path], out: Path) -> Path:
    """Texts without labels -> a student, or an encoder, that has learnt from them.

    ``data`` are prepared folders of the tasks to come; see ``attar.pretraining.stage.pretrain``.
    """

    def work() -> None:
        from attar.pretraining.stage import pretrain as learn

        learn(recipe, data, out)

    settings, encoder = recipe.pretrain, Path(recipe.pretrain.encoder or recipe.train.encoder)
    inputs = {
        "seed": recipe.seed,
        "pretrain": settings.model_dump(mode="json", exclude={"texts"}),
        "texts": [_source_identity(source) for source in settings.texts],
        "columns": recipe.data.columns,
        "normalise": recipe.encode.normalise,
        "encoder": [str(encoder), recipe.train.hub, recipe.train.revision],
        "encoder_files": identity_of(encoder) if encoder.is_dir() else None,
        "student": recipe.student.model_dump(mode="json") if settings.kind == "relations" else None,
        "data": [identity_of(folder) for folder in data],
    }
    run_stage(out, "pretrain", inputs, work, shared=True)
    return out


def train(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the teacher's checkpoint."""

    def work() -> None:
        from attar.training.stage import train as fit_teacher

        fit_teacher(recipe, data, out)

    run_stage(out, "train", _inputs(recipe, ("encode", "train"), data=data), work, shared=True)
    return out


def distill(recipe: Recipe, data: Path, teachers: Path | Sequence[Path | str], out: Path) -> Path:
    """A prepared folder and teachers (checkpoints, or "linear") -> the student's checkpoint."""
    named = [teachers] if isinstance(teachers, Path) else list(teachers)

    def work() -> None:
        from attar.distillation.stage import distill as fit_student

        fit_student(recipe, data, named, out)

    every = [*named, *recipe.distill.more_teachers]
    folders = [Path(entry) for entry in every if entry != "linear"]
    # Without a checkpoint among its teachers the student starts from the pretrained encoder.
    sections = ("encode", "student", "distill", *(() if folders else ("train",)))
    inputs = _inputs(recipe, sections, data=data)
    inputs["teachers"] = [entry if entry == "linear" else identity_of(Path(entry)) for entry in every]
    inputs["distill"]["transfer"] = [_source_identity(source) for source in recipe.distill.transfer]
    found = recipe.distill.unlabelled
    inputs["distill"]["unlabelled"]["sources"] = [_source_identity(source) for source in found.sources]
    if isinstance(found.terms, str):
        inputs["distill"]["unlabelled"]["terms"] = identity_of(Path(found.terms))
    for place in ("more_teachers", "cache_limit_gb"):  # where things are and how large they may be
        del inputs["distill"][place]
    run_stage(out, "distill", inputs, work, shared=True)
    return out


def finetune(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the same student without a teacher, the baseline of the report."""

    def work() -> None:
        from attar.distillation.stage import finetune_student

        finetune_student(recipe, data, out)

    settings = recipe.finetuning().model_dump(mode="json")
    inputs = _inputs(recipe, ("encode", "train", "student"), data=data) | {"finetuning": settings}
    run_stage(out, "finetune", inputs, work, shared=True)
    return out


def export(recipe: Recipe, checkpoint: Path | ClassicFiles, data: Path, out: Path) -> Path:
    """A checkpoint, or the files of a classic one -> the verified artifact."""
    if isinstance(checkpoint, ClassicFiles):
        checkpoint = checkpoint.resolved(recipe.resolved_task())

    def work() -> None:
        from attar.classic.checkpoint import load_classic
        from attar.export.stage import export_checkpoint
        from attar.models.checkpoint import load_checkpoint
        from attar.records.prepared_folder import load_split

        if isinstance(checkpoint, ClassicFiles):
            loaded = load_classic(checkpoint, recipe.resolved_task(), recipe.encode.max_tokens)
        else:
            loaded = load_checkpoint(checkpoint)
        _check_labels(data, loaded.task.labels, str(checkpoint))
        splits = {name: load_split(data, name) for name in ("dev", "train")}
        export_checkpoint(
            loaded, splits["dev"], out, recipe.export, {"recipe": recipe.name}, train=splits["train"]
        )

    if isinstance(checkpoint, ClassicFiles):
        files = {name: getattr(checkpoint, name) for name in ("weights", "config", "vocab")}
        inputs = _inputs(recipe, ("encode", "export"), data=data, **files)
        inputs["classic"] = [
            checkpoint.architecture, checkpoint.lower_case, checkpoint.marks, *checkpoint.labels,
        ]  # fmt: skip
    else:
        inputs = _inputs(recipe, ("export",), checkpoint=checkpoint, data=data)
    run_stage(out, "export", inputs, work, in_place=True)
    return out


def evaluate(
    recipe: Recipe, data: Path, models: Models, out: Path, linear: WindowedLinear | None = None
) -> Path:
    """A prepared folder's test split and the models -> report.json and report.html.

    ``linear`` is the linear baseline if it has been fitted on this data already.
    """
    folders = {name: path for name, path in models._asdict().items() if path is not None}

    def work() -> None:
        from attar.evaluation.stage import evaluate_models

        evaluate_models(recipe, data, folders, out, linear)

    run_stage(out, "evaluate", _inputs(recipe, ("encode", "evaluate"), data=data, **folders), work)
    return out


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
    """Every verb of a recipe in turn; what is already there and unchanged is kept.

    Args:
        recipe: The whole story.
        out: The run folder.
        say: Told what begins, one line a stage, and what there is to know before it.
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
    """Say what was prepared, how long the rest may take, and what a linear model does.

    Returns:
        The linear model, for the report; None where nothing is left to do.
    """
    folders = {"train": at.teacher, "distill": at.student, "finetune": at.finetuned}
    folders |= {"export": at.artifact, "evaluate": at.report}
    left = [name for name, folder in folders.items() if not is_finished(folder)]
    if not left or not is_first_process():
        return None
    from attar.estimate import estimate_seconds, said
    from attar.evaluation.baselines import WindowedLinear
    from attar.records.prepared_folder import load_manifest, load_split

    for name, labels in load_manifest(at.data)["labels"].items():
        counts = ", ".join(f"{label} {count}" for label, count in labels.items())
        say(f"{name}: {sum(labels.values())} examples ({counts})")
    train, dev, test = (load_split(at.data, name) for name in ("train", "dev", "test"))
    try:
        seconds = estimate_seconds(recipe, train, len(dev), len(test))
    except AttarError as error:  # of the encoder: the stage that needs it says what to do
        _LOG.info("how long it will take cannot be said: %s", error)
    else:
        say(said({name: seconds[name] for name in left}))
    linear = WindowedLinear(recipe.resolved_task(), train, dev)
    say(f"the linear model that the student must beat: dev macro-F1 {linear.dev_macro_f1:.4f}")
    return linear
