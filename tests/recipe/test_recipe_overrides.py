"""``--set``: its paths start from the working folder, those of a recipe from the recipe's."""

import logging
from pathlib import Path

import pytest
from pydantic import BaseModel

from attar.recipe.base import FilePath, TeacherName
from attar.recipe.load import Recipe, SourceRecipe, load_recipe, make_recipe
from attar.recipe.overrides import PATH_KEYS, from_prompt

RECIPE = 'task = "cosmetics"\n[data]\nsources = ["own.csv"]\n'


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("here", "recipes"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "recipes" / "r.toml").write_text(RECIPE, "utf-8")
    return tmp_path


def test_paths_at_the_prompt_start_from_the_working_folder(folders, monkeypatch):
    monkeypatch.setenv("REVIEWS", "/reviews")
    path = Path("../recipes/r.toml")
    (source,) = load_recipe(path).data.sources
    assert Path(source.path).resolve() == folders / "recipes/own.csv"
    loaded = load_recipe(
        path,
        [
            'data.sources=["a.csv", "/b.csv", "$REVIEWS/c.csv", "mongodb://h/d/c", "d.csv"]',
            'distill.transfer=[{path="e.csv", join={path="f.csv", on="id"}}]',
            'distill.more_teachers=["linear", "electra"]',
            "student.start=pretrained",
            "student.from_checkpoint=pretrained",
            'distill.unlabelled.terms=["持妆"]',
            'distill.unlabelled.sources=["book.xlsx#2024"]',
        ],
    )
    paths = [source.path for source in loaded.data.sources]
    here = str(folders / "here")
    assert paths == [f"{here}/a.csv", "/b.csv", "/reviews/c.csv", "mongodb://h/d/c", f"{here}/d.csv"]
    (joined,) = loaded.distill.transfer
    assert joined.path == f"{here}/e.csv"
    assert joined.join.path == f"{here}/f.csv"
    assert loaded.distill.more_teachers == ("linear", f"{here}/electra")
    assert loaded.student.from_checkpoint == f"{here}/pretrained"
    assert loaded.distill.unlabelled.terms == ("持妆",)
    assert loaded.distill.unlabelled.sources[0].path == f"{here}/book.xlsx#2024"


def test_what_is_only_in_the_recipes_folder_is_still_found_with_a_warning(folders, caplog):
    (folders / "recipes/a.csv").write_text("", "utf-8")
    with caplog.at_level(logging.WARNING, "attar"):
        (source,) = load_recipe(Path("../recipes/r.toml"), ['data.sources=["a.csv"]']).data.sources
    assert Path(source.path).resolve() == folders / "recipes/a.csv"
    assert "write ../recipes/a.csv" in caplog.text
    (folders / "here/a.csv").write_text("", "utf-8")
    (source,) = load_recipe(Path("../recipes/r.toml"), ['data.sources=["a.csv"]']).data.sources
    assert source.path == str(folders / "here/a.csv")


def test_a_list_of_sources_may_stand_for_the_table_of_unlabelled_reviews(folders):
    value = from_prompt("distill.unlabelled", ["a.csv"], folders)
    assert value == [str(folders / "here/a.csv")]
    assert make_recipe({"name": "x"}, ["task=newcos"]).task == "newcos"


def path_keys(model, prefix=""):
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        kinds += [kind for each in kinds for kind in getattr(each, "__args__", ())]
        marks = {*field.metadata, *(mark for kind in kinds for mark in getattr(kind, "__metadata__", ()))}
        if marks & {*FilePath.__metadata__, *TeacherName.__metadata__} or SourceRecipe in kinds:
            yield prefix + name
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from path_keys(kind, f"{prefix}{name}.")


def test_every_path_of_a_recipe_is_known():
    found = set(path_keys(Recipe))
    assert "data.sources" in found
    assert {key for key in found if not key.startswith("finetune.")} == PATH_KEYS
