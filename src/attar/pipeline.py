"""The verbs' work, and how ``attar run`` strings them together.

Each function is one verb: folders in, one stamped folder out. What a stage depends on stands beside its
work, in ``settings.py``; only work that is to be done imports torch. ``run_recipe`` is the whole line:

    sources -> data/ -> linear/, teacher/ -> student/ (and finetuned/) -> candidate/ -> report/ -> artifact/

export writes the candidate, evaluate judges it (``attar.gate``), and only what is not refused becomes
artifact/; a refused one becomes artifact-refused/, and what stood in artifact/ stays. With texts in
``[pretrain]`` there is pretrained/ after data/, from which the student or the teacher starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attar.artifact import load_artifact
from attar.classic.files import ClassicFiles
from attar.distillation.matches import check_names
from attar.distillation.settings import LINEAR, StudentSettings, distill_inputs, finetune_inputs
from attar.evaluation.settings import EvaluateSettings
from attar.evaluation.settings import inputs as evaluate_inputs
from attar.gate.conditions import Gate
from attar.gate.in_service import InService
from attar.gate.placing import adopt_artifact, place_candidate
from attar.io.folders import check_no_secret
from attar.pretraining.settings import PretrainSettings
from attar.pretraining.settings import inputs as pretrain_inputs
from attar.recipe.load import Recipe, SourceRecipe
from attar.recipe.renamed import with_old_names
from attar.records.prepared_folder import check_labels, check_trainable, load_manifest, load_split
from attar.records.understood import short_lines
from attar.repeat import keep_recipe
from attar.run_folders import Models, RunFolders
from attar.stage_cache import fingerprint, is_finished, is_first_process, run_stage
from attar.training.settings import TrainSettings
from attar.training.settings import inputs as train_inputs

__all__ = [
    "Models",
    "RunFolders",
    "distill",
    "evaluate",
    "export",
    "find_in_service",
    "finetune",
    "fit_linear",
    "prepare",
    "pretrain",
    "run_recipe",
    "train",
]

_LOG = logging.getLogger(__name__)


def prepare(recipe: Recipe, sources: Sequence[SourceRecipe | Path | str], out: Path) -> Path:
    """Sources -> train.json, dev.json, test.json, rejected.jsonl, manifest.json and the audit.

    A server is not asked again once the folder is whole.
    """
    from attar.records import prepare as stage

    chosen = [SourceRecipe.model_validate(source) for source in sources]
    settings = (chosen, recipe.resolved_task(), recipe.data, recipe.seed)
    again = partial(stage.inputs, *settings)
    inputs = again()
    work, earlier = partial(stage.prepare, *settings), with_old_names(inputs)
    done = run_stage(out, "prepare", inputs, work, paths_read=_files_of(chosen), earlier=earlier, again=again)
    if not done and is_finished(out) and is_first_process():
        for line in short_lines(load_manifest(out).get("understood", [])):
            _LOG.info("%s", line)
    if not done and any(source.is_remote for source in chosen):
        _LOG.info("prepare: the server was not asked again; remove %s to fetch again", out)
    return out


def fit_linear(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the artifact of the tuned linear model, which a student must beat."""
    task = recipe.resolved_task()
    check_labels(data, task.labels)
    check_trainable(data)

    def again() -> dict[str, Any]:
        return {"task": task.to_json(), "data": fingerprint(data)}

    def work(draft: Path) -> None:
        from attar.evaluation.baselines import WindowedLinear
        from attar.evaluation.linear_artifact import write_linear

        train, dev = load_split(data, "train"), load_split(data, "dev")
        write_linear(WindowedLinear(task, train, dev), task, dev, draft, {"recipe": recipe.name})

    run_stage(out, "linear", again(), work, paths_read=[data], again=again)
    return out


def pretrain(recipe: Recipe, data: Sequence[Path], out: Path) -> Path:
    """Texts without labels -> a student, or an encoder, that has learnt from them.

    ``data`` are prepared folders of the tasks to come; see ``attar.pretraining.stage.pretrain``.
    """
    settings = PretrainSettings.of(recipe)
    again = partial(pretrain_inputs, settings, data)
    inputs = again()
    whole = recipe.pretrain.model_dump(mode="json", exclude={"texts"})
    earlier = with_old_names(inputs | {"pretrain": whole}, without={"task"})

    def work(draft: Path) -> None:
        from attar.pretraining import stage

        stage.pretrain(settings, data, draft)

    paths_read = [*data, *_files_of(recipe.pretrain.texts), Path(settings.encoder)]
    run_stage(out, "pretrain", inputs, work, paths_read=paths_read, earlier=earlier, again=again, shared=True)
    return out


def train(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the teacher's checkpoint."""
    settings = TrainSettings.of(recipe)
    check_labels(data, settings.task.labels)
    check_trainable(data)
    again = partial(train_inputs, settings, data)
    inputs = again()
    earlier = with_old_names(inputs | _whole_section(recipe, "train"))

    def work(draft: Path) -> None:
        from attar.training import stage

        stage.train(settings, data, draft)

    paths_read = [data, Path(recipe.train.encoder)]
    run_stage(out, "train", inputs, work, paths_read=paths_read, earlier=earlier, again=again, shared=True)
    return out


def distill(recipe: Recipe, data: Path, teachers: Path | Sequence[Path | str], out: Path) -> Path:
    """A prepared folder and teachers (checkpoints, or "linear") -> the student's checkpoint."""
    named = [teachers] if isinstance(teachers, Path) else list(teachers)
    settings = StudentSettings.taught(recipe)
    check_labels(data, settings.task.labels)
    check_trainable(data)
    again = partial(distill_inputs, settings, data, named)
    inputs = again()
    fit = _whole_section(recipe, "distill")["distill"] | inputs["distill"]
    del fit["more_teachers"], fit["cache_limit_gb"]
    encoder = _whole_section(recipe, "train") if "train" in inputs else {}
    earlier = with_old_names(inputs | encoder | {"distill": fit}, without={"transfer_set"})

    def work(draft: Path) -> None:
        from attar.distillation import stage

        stage.distill(settings, data, named, draft)

    teaching = [Path(entry) for entry in (*named, *settings.fit.more_teachers) if entry != LINEAR]
    paths_read = [data, *teaching, *_student_reads(recipe)]
    run_stage(out, "distill", inputs, work, paths_read=paths_read, earlier=earlier, again=again, shared=True)
    return out


def finetune(recipe: Recipe, data: Path, out: Path) -> Path:
    """A prepared folder -> the same student without a teacher, the baseline of the report."""
    settings = StudentSettings.alone(recipe)
    check_labels(data, settings.task.labels)
    check_trainable(data)
    again = partial(finetune_inputs, settings, data)
    inputs = again()
    whole = _whole_section(recipe, "train") | {"finetuning": settings.fit.model_dump(mode="json")}
    earlier = with_old_names(inputs | whole)

    def work(draft: Path) -> None:
        from attar.distillation import stage

        stage.finetune_student(settings, data, draft)

    paths_read = [data, *_student_reads(recipe)]
    run_stage(out, "finetune", inputs, work, paths_read=paths_read, earlier=earlier, again=again, shared=True)
    return out


def export(recipe: Recipe, checkpoint: Path | ClassicFiles, data: Path, out: Path) -> Path:
    """A checkpoint, or the files of a classic one -> the verified artifact."""
    task = recipe.resolved_task()
    if isinstance(checkpoint, ClassicFiles):
        checkpoint = checkpoint.resolved(task)
        check_labels(data, task.labels)
        named = {"weights": checkpoint.weights, "config": checkpoint.config, "vocab": checkpoint.vocab}
        read_as = [checkpoint.architecture, checkpoint.lower_case, checkpoint.marks, *checkpoint.labels]
        settings = _whole_section(recipe, "encode") | {"classic": read_as}
    else:
        named, settings = {"checkpoint": checkpoint}, {}
    paths_read = {"data": data} | {name: path for name, path in named.items() if path is not None}
    settings |= {"task": task.to_json(), "seed": recipe.seed} | _whole_section(recipe, "export")

    def again() -> dict[str, Any]:
        return settings | {name: fingerprint(path) for name, path in paths_read.items()}

    inputs, work = again(), partial(_export, recipe, checkpoint, data)
    earlier = with_old_names(inputs)
    run_stage(out, "export", inputs, work, paths_read=[*paths_read.values()], earlier=earlier, again=again)
    return out


def _export(recipe: Recipe, files: Path | ClassicFiles, data: Path, out: Path) -> None:
    """Load a checkpoint and write its artifact, verified on a prepared folder."""
    from attar.classic.checkpoint import load_classic
    from attar.export.stage import export_checkpoint
    from attar.models.checkpoint import load_checkpoint

    if isinstance(files, ClassicFiles):
        checkpoint = load_classic(files, recipe.resolved_task(), recipe.encode.max_tokens)
    else:
        checkpoint = load_checkpoint(files)
    check_labels(data, checkpoint.task.labels, str(files))
    dev, train = load_split(data, "dev"), load_split(data, "train")
    export_checkpoint(checkpoint, dev, out, recipe.export, {"recipe": recipe.name}, train=train)


def evaluate(
    recipe: Recipe,
    data: Path,
    models: Models,
    out: Path,
    linear: Path | None = None,
    in_service: InService | None = None,
) -> Path:
    """A prepared folder's test split and the models -> report.json, with a verdict, and report.html.

    ``linear`` is the artifact of the linear baseline if it has been fitted on this data already,
    ``in_service`` the model that the new artifact is judged against.
    """
    folders = {name: path for name, path in models._asdict().items() if path is not None}
    settings = EvaluateSettings.of(recipe)
    check_labels(data, settings.task.labels)
    again = partial(evaluate_inputs, settings, data, folders, in_service)
    inputs = again()
    earlier = with_old_names(inputs | _whole_section(recipe, "encode"), without={"gate"})

    def work(draft: Path) -> None:
        from attar.evaluation import stage

        stage.evaluate_models(settings, data, folders, draft, linear, in_service)

    paths_read = [data, *folders.values(), *([linear] if linear is not None else [])]
    paths_read += [in_service.artifact, *in_service.trained_on] if in_service is not None else []
    run_stage(out, "evaluate", inputs, work, paths_read=paths_read, earlier=earlier, again=again)
    return out


def _files_of(sources: Sequence[SourceRecipe]) -> list[Path]:
    """Every file and folder that sources are read from; those on a server have none."""
    local = [source for source in sources if not source.is_remote]
    joined = [Path(source.join.path) for source in local if source.join is not None]
    return [Path(source.path.partition("#")[0]) for source in local] + joined


def _student_reads(recipe: Recipe) -> list[Path]:
    """The files and folders that a student's training reads, data and teachers aside."""
    found, start = recipe.distill.unlabelled, recipe.student.from_checkpoint
    named = [recipe.train.encoder, start, found.terms if isinstance(found.terms, str) else None]
    sources = _files_of([*recipe.distill.transfer, *found.sources])
    return [Path(name) for name in named if name is not None] + sources


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


def run_recipe(
    recipe: Recipe, out: Path, say: Callable[[str], None], against: Path | None = None
) -> RunFolders:
    """Every verb of a recipe in turn; what is up to date is kept. The verdict is in the report.

    ``say`` is called with a line for each stage that begins, and for what is known before it. ``against``
    is the artifact or the run folder of the model in service.
    """
    check_no_secret(out)
    at = RunFolders.under(out)
    in_service = find_in_service(recipe, against, out)  # now, not after hours
    before = "prepare, pretrain" if recipe.pretrain.texts else "prepare"
    say(f"{recipe.name}: {before}, train, distill, finetune, export, evaluate -> {out}")
    check_names(recipe.distill.matches)  # now, not after the teacher was trained
    keep_recipe(recipe, out)
    say("prepare: reading, checking and splitting the labelled reviews")
    prepare(recipe, recipe.data.sources, at.data)
    _before_training(recipe, at, say)
    recipe = _pretrained(recipe, at, say)
    say("train: the teacher")
    train(recipe, at.data, at.teacher)
    say("distill: the student, taught by the teacher")
    distill(recipe, at.data, at.teacher, at.student)
    say("distill: the same student without a teacher, for comparison")
    finetune(recipe, at.data, at.finetuned)
    say("export: the student in int8, verified against its checkpoint")
    if is_first_process():
        adopt_artifact(at.artifact, at.candidate)
    export(recipe, at.student, at.data, at.candidate)
    say("evaluate: all of them on the test split")
    models = Models(at.teacher, at.student, at.finetuned, at.candidate)
    evaluate(recipe, at.data, models, at.report, at.linear, in_service)
    place_candidate(at.candidate, at.report, at.artifact, Gate(recipe.gate, recipe.export.max_f1_loss))
    return at


def find_in_service(recipe: Recipe, against: Path | None, out: Path | None = None) -> InService | None:
    """The model in service that a user names, checked; see ``attar.gate.in_service``."""
    if against is None:
        return None
    return InService.find(against, recipe.resolved_task(), recipe.gate.min_gain_over_service, out)


def _before_training(recipe: Recipe, at: RunFolders, say: Callable[[str], None]) -> None:
    """Report what was prepared, how long the rest may take, and the score of a linear model."""
    folders = {"train": at.teacher, "distill": at.student, "finetune": at.finetuned}
    folders |= {"export": at.candidate, "evaluate": at.report}
    if left := [name for name, folder in folders.items() if not is_finished(folder) and is_first_process()]:
        from attar.estimate import say_estimate

        say_estimate(recipe, at.data, left, say)
    fit_linear(recipe, at.data, at.linear)
    if left:
        macro_f1 = load_artifact(at.linear).scores["macro_f1"]
        say(f"the linear model that the student must beat: dev macro-F1 {macro_f1:.4f}")
