"""What each stage depends on: every key of a recipe redoes one, or a list says why it does not."""

import types
import typing
from typing import Annotated, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from attar import pipeline
from attar.io.files import content_hash, write_json
from attar.recipe import base
from attar.recipe.load import DistillRecipe, FitRecipe, Recipe

STAGES = ("prepare", "pretrain", "train", "distill", "finetune", "export", "evaluate")
NO_TEACHER = "a student that is trained on the labels alone has no teacher"
TAUGHT = DistillRecipe.model_fields.keys() - FitRecipe.model_fields.keys()
IDLE = {
    "name": "a title; the folder of a run is named by --out",
    "distill.cache_limit_gb": "an error where it does not suffice, the same features where it does",
    "gate.min_gain_over_service": "counts with --against alone, which is in the inputs then",
    **{f"{loop}.checkpoint_minutes": "a training resumes to the bit" for loop in STAGES[1:5]},
    **{f"{loop}.log_interval": "is shown while it trains" for loop in STAGES[1:5]},
    **{f"finetune.{key}": NO_TEACHER for key in TAUGHT},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files and folders that a recipe names, and others of the same kind with other contents."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("rows", "texts", "join", "model", "start", "teacher", "data", "terms"):
        for place in (folder / name, folder / f"{name}x"):
            place.mkdir()
            (place / "file").write_text(place.name)
    task = {"labels": ["坏", "好"]}
    write_json(folder / "data" / "manifest.json", {"task": task, "files": {}, "labels": {}})
    return folder


@pytest.fixture(scope="module")
def recipe(folder):
    """A recipe in which every key counts."""
    source = {
        "path": str(folder / "rows"),
        "format": "csv",
        "columns": {"text": "a"},
        "join": {"path": str(folder / "join"), "on": "id"},
    }
    more = source | {"path": str(folder / "texts")}
    match = {"loss": "hidden_mse", "teacher_layer": 2, "student_layer": 1}
    return Recipe.model_validate(
        {
            "name": "whole",
            "task": {"name": "mine", "labels": ["坏", "好"]},
            "data": {"sources": [source]},
            "pretrain": {"texts": [more], "matches": [match]},
            "student": {"start": "pretrained", "from_checkpoint": str(folder / "start")},
            "distill": {
                "transfer": [more],
                "unlabelled": {"sources": [more], "terms": str(folder / "terms")},
                "augment": {"copies": 1},
                "more_teachers": [str(folder / "teacher")],
                "matches": [match],
            },
            "finetune": {},
        }
    )


def keys(model, place=()):
    """Every key that holds a value, tables within tables and the first of a list of tables included."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        inner = value[0] if isinstance(value, tuple) and value else value
        if isinstance(inner, BaseModel):
            yield from keys(inner, (*place, name))
        else:
            yield (*place, name)


def changed(model, place):
    """The model with another value of a key; neither is checked against its bounds."""
    name, *rest = place
    value = getattr(model, name)
    if name == "labels":
        new = (*value, "中")
    elif not rest:
        new = other(type(model).model_fields[name].annotation, value)
    elif isinstance(value, tuple):
        new = (changed(value[0], rest), *value[1:])
    else:
        new = changed(value, rest)
    assert new != value
    return model.model_copy(update={name: new})


def other(kind, value):  # noqa: PLR0911 - one answer a kind
    """Another value of a type."""
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            return other(arguments[0], value)
        case origin if origin is Literal:
            return next(each for each in arguments if each != value)
        case types.UnionType | typing.Union:
            return other(next(each for each in arguments if each is not type(None)), value)
        case origin if origin is tuple:
            if arguments[-1] is not Ellipsis:
                return tuple(other(arguments[0], one) for one in value)
            return () if value else (other(arguments[0], None),)
        case origin if origin is dict:
            return {**value, "x": "好"}  # of the labels, too
    if kind is bool:
        return not value
    if kind is str:
        return f"{value or ''}x"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_construct(path="x")
    return kind((value if isinstance(value, int | float) else 0) + 1)


@pytest.fixture
def inputs_of(monkeypatch, folder):
    """``inputs_of(recipe)``: a hash of the inputs of each stage, and of those under their old names."""
    found = {}

    def record(_out, name, inputs, _work, *, earlier, **_how):
        found[name] = content_hash(inputs), content_hash(earlier)

    monkeypatch.setattr(pipeline, "run_stage", record)
    monkeypatch.setattr(pipeline, "check_labels", lambda *_: None)

    def collect(recipe):
        data, model, out = folder / "data", folder / "model", folder / "out"
        pipeline.prepare(recipe, recipe.data.sources, out)
        pipeline.pretrain(recipe, [data], out)
        pipeline.train(recipe, data, out)
        pipeline.distill(recipe, data, ["linear", model], out)
        pipeline.finetune(recipe, data, out)
        pipeline.export(recipe, model, data, out)
        pipeline.evaluate(recipe, data, pipeline.Models(model), out)
        assert tuple(found) == STAGES
        return dict(found)

    return collect


def redone(before, after):
    """The stages that a change redoes."""
    return {name for name in STAGES if before[name][0] != after[name][0]}


def test_every_section_and_key_is_in_the_recipe_of_these_tests(recipe):
    def sections(kind):
        return {kind, *(one for below in kind.__subclasses__() for one in sections(below))}

    known = {key for kind in sections(base.Section) - {base.Section} for key in kind.model_fields}
    tables = {"data", "encode", "train", "student", "finetune", "export", "evaluate", "gate"}
    tables |= {
        "sources",
        "join",
        "pretrain",
        "distill",
        "texts",
        "transfer",
        "unlabelled",
        "augment",
        "matches",
        "task",
    }
    assert {place[-1] for place in keys(recipe)} >= known - tables
    assert {part for place in keys(recipe) for part in place[:-1]} == tables


def test_every_key_redoes_a_stage_or_is_known_to_change_nothing(recipe, inputs_of):
    before = inputs_of(recipe)
    idle = set()
    for place in keys(recipe):
        if not redone(before, inputs_of(changed(recipe, place))):
            idle.add(".".join(place[:2] if place[0] == "finetune" else place))
    assert idle == set(IDLE)


ALL = set(STAGES)
TRAINED = {"train", "distill", "finetune"}


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("seed", ALL),
        ("task.aliases", ALL),
        ("encode.window_chars", ALL),
        ("encode.normalise", {"pretrain", *TRAINED}),
        ("encode.pooling", TRAINED),
        ("data.near_duplicate", {"prepare", "distill"}),
        ("data.columns", {"prepare", "pretrain", "distill"}),
        ("data.max_chars", {"prepare", "distill"}),
        ("data.repair", {"prepare", "distill"}),
        ("data.disagreement", {"prepare", "distill"}),
        ("data.test", {"prepare"}),
        ("data.sources.split", {"prepare"}),
        ("pretrain.texts.format", {"pretrain"}),
        ("train.encoder", {"pretrain", "train", "finetune"}),
        ("train.vocab_margin", {"train", "finetune"}),
        ("train.epochs", {"train"}),
        ("student.layers", {"pretrain", "distill", "finetune"}),
        ("student.from_checkpoint", {"pretrain", "distill", "finetune"}),
        ("distill.temperature", {"distill"}),
        ("distill.unlabelled.terms", {"distill"}),
        ("finetune.head_init", {"finetune"}),
        ("export.max_flips", {"export"}),
        ("export.max_f1_loss", {"export", "evaluate"}),
        ("gate.min_recall", {"evaluate"}),
        ("evaluate.bootstrap", {"evaluate"}),
    ],
)
def test_a_key_redoes_the_stages_that_read_it(recipe, inputs_of, key, stages):
    assert redone(inputs_of(recipe), inputs_of(changed(recipe, key.split(".")))) == stages


def test_rows_beside_the_training_split_are_read_only_where_there_are_some(recipe, inputs_of):
    def without(*kinds):
        none = {"transfer": (), "unlabelled": type(recipe.distill.unlabelled)()}
        none["augment"] = recipe.distill.augment.model_copy(update={"copies": 0})
        update = {kind: none[kind] for kind in kinds}
        return recipe.model_copy(update={"distill": recipe.distill.model_copy(update=update)})

    for kinds, key, stages in (
        (("unlabelled", "augment"), "max_chars", {"prepare", "distill"}),
        (("transfer", "augment"), "columns", {"prepare", "pretrain", "distill"}),
        (("transfer", "unlabelled"), "near_duplicate", {"prepare", "distill"}),
        (("transfer", "unlabelled"), "max_chars", {"prepare"}),
        (("transfer", "unlabelled", "augment"), "near_duplicate", {"prepare"}),
    ):
        some = without(*kinds)
        assert redone(inputs_of(some), inputs_of(changed(some, ("data", key)))) == stages


def test_the_ending_of_a_file_counts_where_it_tells_the_format(tmp_path, inputs_of, recipe):
    def read_from(name, form):
        (tmp_path / name).write_text("text\n好\n", "utf-8")
        source = {"path": str(tmp_path / name), "format": form}
        data = type(recipe.data).model_validate({"sources": [source]})
        return inputs_of(recipe.model_copy(update={"data": data}))

    assert redone(read_from("a.csv", None), read_from("a.tsv", None)) == {"prepare"}
    assert not redone(read_from("a.csv", "csv"), read_from("a.tsv", "csv"))
    assert not redone(read_from("a.csv", None), read_from("b.csv", None))
