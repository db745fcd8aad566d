"""A wrong or failing command leaves finished work as it was: every verb, with --out each of its inputs."""

import shutil
from pathlib import Path

import pytest

from attar import pipeline
from attar.errors import AttarError, CheckpointError, DataError, GateError, MissingPackageError, RunError
from attar.models.checkpoint import save_checkpoint
from attar.pipeline import Models
from attar.recipe.load import Recipe, SourceRecipe
from attar.stage_cache import run_stage


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_rows, make_checkpoint, encoder_folder, artifact_folder):
    """A folder with sources and with a finished result of every stage."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "rows").mkdir()
    make_rows(folder / "rows" / "rows.jsonl", 60)
    make_rows(folder / "transfer.jsonl", 5, seed=2)
    (folder / "texts").mkdir()
    (folder / "texts" / "reviews.txt").write_text("口红不错\n", "utf-8")
    shutil.copytree(encoder_folder, folder / "encoder")
    recipe = Recipe(name="r")
    pipeline.prepare(recipe, [folder / "rows"], folder / "data")
    checkpoint = make_checkpoint()
    for name, stage in (("teacher", "train"), ("student", "distill"), ("pretrained", "pretrain")):
        run_stage(folder / name, stage, {}, lambda draft: save_checkpoint(checkpoint, draft))
    files = [path for path in Path(artifact_folder).iterdir() if path.is_file()]
    run_stage(folder / "artifact", "export", {}, lambda draft: [shutil.copy(p, draft) for p in files])
    run_stage(folder / "report", "evaluate", {}, lambda draft: (draft / "report.json").write_text("{}"))
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def recipe_of(folder):
    distill = {"transfer": [str(folder / "transfer.jsonl")], "more_teachers": [str(folder / "pretrained")]}
    student = {"start": "pretrained", "from_checkpoint": str(folder / "pretrained")}
    texts = {"texts": [{"path": str(folder / "texts")}]}
    encoder = {"encoder": str(folder / "encoder")}
    whole = {"name": "r", "train": encoder, "distill": distill, "student": student, "pretrain": texts}
    return Recipe.model_validate(whole)


VERBS = {
    "prepare": (lambda at, out: pipeline.prepare(recipe_of(at), [at / "rows"], out), ["rows"]),
    "pretrain": (
        lambda at, out: pipeline.pretrain(recipe_of(at), [at / "data"], out), ["data", "texts", "encoder"],
    ),
    "train": (lambda at, out: pipeline.train(recipe_of(at), at / "data", out), ["data", "encoder"]),
    "distill": (
        lambda at, out: pipeline.distill(recipe_of(at), at / "data", at / "teacher", out),
        ["data", "teacher", "pretrained"],
    ),
    "finetune": (lambda at, out: pipeline.finetune(recipe_of(at), at / "data", out), ["data", "pretrained"]),
    "export": (
        lambda at, out: pipeline.export(recipe_of(at), at / "student", at / "data", out), ["student", "data"],
    ),
    "evaluate": (
        lambda at, out: pipeline.evaluate(
            recipe_of(at), at / "data", Models(at / "teacher", at / "student", None, at / "artifact"), out
        ),
        ["data", "teacher", "student", "artifact"],
    ),
}  # fmt: skip
OWN = {"prepare": "data", "pretrain": "pretrained", "train": "teacher", "distill": "student"}
OWN |= {"export": "artifact", "evaluate": "report"}


@pytest.fixture
def link(made):
    place = made.parent / f"{made.name}-link"
    place.symlink_to(made)
    yield place
    place.unlink()


@pytest.mark.parametrize(
    ("verb", "read"), [(verb, name) for verb, (_, all_) in VERBS.items() for name in all_]
)
def test_an_output_that_is_holds_or_lies_in_an_input_is_refused(made, link, verb, read):
    before = contents(made)
    for out in (made / read, link / read, made / read / "new", made / read / ".." / read, made):
        with pytest.raises(RunError, match=r"(is|holds|lies in) .*, which this command reads; name another"):
            VERBS[verb][0](made, out)
    assert contents(made) == before


@pytest.mark.parametrize(
    ("verb", "other"),
    [
        (verb, name)
        for verb, (_, read) in VERBS.items()
        for name in OWN.values()
        if name not in read and OWN.get(verb) != name
    ],
)
def test_what_another_stage_wrote_is_refused(made, verb, other):
    before = contents(made)
    with pytest.raises(RunError, match="was written by the stage"):
        VERBS[verb][0](made, made / other)
    assert contents(made) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_and_a_folder_of_somebody_elses_are_refused(made, tmp_path, verb):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("years of work")
    for name in ("file", "file/deeper", "theirs"):
        with pytest.raises(RunError):
            VERBS[verb][0](made, tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "theirs", "thesis.tex"]


FAILURES = {
    "a misspelt encoder": (
        CheckpointError, "teacher",
        lambda at: pipeline.train(
            Recipe(name="r", train={"encoder": str(at / "encodr")}), at / "data", at / "teacher"
        ),
    ),
    "an artifact as teacher": (
        CheckpointError, "student",
        lambda at: pipeline.distill(Recipe(name="r"), at / "data", at / "artifact", at / "student"),
    ),
    "a renamed column": (
        DataError, "data",
        lambda at: pipeline.prepare(
            Recipe(name="r"), [SourceRecipe(path=str(at / "rows"), columns={"text": "review"})], at / "data"
        ),
    ),
    "labels that do not fit": (
        AttarError, "teacher",
        lambda at: pipeline.train(Recipe(name="r", task="components"), at / "data", at / "teacher"),
    ),
    "no teacher": (
        AttarError, "student",
        lambda at: pipeline.distill(Recipe(name="r"), at / "data", at / "nowhere", at / "student"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_command_that_fails_leaves_the_earlier_result(made, failure):
    before = contents(made)
    kind, _, call = FAILURES[failure]
    with pytest.raises(kind):
        call(made)
    assert {path: was for path, was in contents(made).items() if ".draft" not in str(path)} == before
    for draft in made.glob("*.draft"):
        shutil.rmtree(draft)


@pytest.mark.parametrize(
    "error", [GateError("flips 5 %"), MissingPackageError("no torch"), RunError("loss nan")]
)
def test_a_gate_that_refuses_no_torch_and_a_loss_that_is_not_finite_leave_the_artifact(
    made, monkeypatch, error
):
    def fail(*_):
        raise error

    before = contents(made)
    monkeypatch.setattr(pipeline, "_export", fail)
    with pytest.raises(type(error)):
        pipeline.export(Recipe(name="r"), made / "student", made / "data", made / "artifact")
    assert contents(made) == before


def test_an_address_that_is_none_leaves_no_secret_and_no_stamp(tmp_path):
    for address in ("MONGODB://user:SECRET@h/d/c", "htp://h/projects/7?token=SECRET"):
        with pytest.raises(AttarError) as caught:
            pipeline.prepare(Recipe(name="r"), [address], tmp_path / "data")
        assert "SECRET" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_run_has_a_secret_for_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="something secret in it"):
        pipeline.run_recipe(Recipe(name="r"), Path("mongodb://bob:SECRET@127.0.0.1/db"), print)
    assert list(tmp_path.iterdir()) == []
