"""A run folder of the version before the keys were renamed: an upgrade redoes nothing.

``stored_run.json`` holds the files of such a run: a recipe, what it names, and what its stages left.
Their work was replaced by a function that writes one small file; finetune was interrupted. The stamps
in it are what that version wrote.
"""

import json
from pathlib import Path

import pytest

from attar import pipeline
from attar.errors import RecipeError
from attar.io.files import content_hash
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import load_recipe, make_recipe
from attar.recipe.renamed import RENAMED_KEYS, RENAMED_VALUES, with_old_names

STORED = json.loads(Path(__file__).with_name("stored_run.json").read_text("utf-8"))
RENAMED = (
    ('form = "', 'format = "'), ("reads = ", "pooling = "), ('"mark"', '"entity_start"'),
    ("head = ", "head_init = "), ("mask_share", "mlm_probability"), ("log_every", "log_interval"),
    ("clip = ", "max_grad_norm = "), ("accumulate", "gradient_accumulation_steps"),
)  # fmt: skip


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The stored run's recipe under the names of today; its files are in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, text in STORED["files"].items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    text = Path("old.toml").read_text("utf-8")
    for old, new in RENAMED:
        assert old in text
        text = text.replace(old, new)
    text = text.replace('constants = {format = "', 'constants = {form = "')  # a key of the user's own
    Path("new.toml").write_text(text, "utf-8")
    return load_recipe(Path("new.toml"))


@pytest.fixture
def done(monkeypatch):
    """The stages whose work was done, each with the files that it found."""
    import attar.distillation.stage
    import attar.evaluation.stage
    import attar.pretraining.stage
    import attar.records.prepare
    import attar.training.stage

    found = {}

    def work(name, place):
        def leave_a_file(*arguments):
            out = arguments[place]
            found[name] = sorted(p.name for p in out.rglob("*") if p.is_file() and ".json" not in p.suffix)
            (out / "result").write_text(name)

        return leave_a_file

    monkeypatch.setattr(attar.records.prepare, "prepare", work("prepare", 4))
    monkeypatch.setattr(attar.pretraining.stage, "pretrain", work("pretrain", 2))
    monkeypatch.setattr(attar.training.stage, "train", work("train", 2))
    monkeypatch.setattr(attar.distillation.stage, "distill", work("distill", 3))
    monkeypatch.setattr(attar.distillation.stage, "finetune_student", work("finetune", 2))
    monkeypatch.setattr(pipeline, "_export", work("export", 3))
    monkeypatch.setattr(attar.evaluation.stage, "evaluate_models", work("evaluate", 3))
    return found


def run(recipe):
    """Every verb of the stored run once more."""
    at = pipeline.RunFolders.under(Path("run"))
    pipeline.prepare(recipe, recipe.data.sources, at.data)
    start = {"start": "pretrained", "from_checkpoint": str(at.pretrained)}
    pipeline.pretrain(recipe, [at.data], at.pretrained)
    recipe = recipe.model_copy(update={"student": recipe.student.model_copy(update=start)})
    pipeline.train(recipe, at.data, at.teacher)
    pipeline.distill(recipe, at.data, at.teacher, at.student)
    pipeline.finetune(recipe, at.data, at.finetuned)
    pipeline.export(recipe, at.student, at.data, at.artifact)
    pipeline.evaluate(recipe, at.data, pipeline.Models(at.teacher, at.student, None, at.artifact), at.report)


def test_what_was_finished_is_up_to_date_and_what_was_interrupted_resumes(recipe, done):
    run(recipe)
    assert done == {"finetune": ["result", "step"]}
    done.clear()
    run(recipe)
    assert done == {}


def test_a_change_after_the_upgrade_is_seen(recipe, done):
    run(recipe)
    done.clear()
    data = recipe.data.model_copy(update={"near_duplicate": 0.9})
    at = pipeline.RunFolders.under(Path("run"))
    start = {"start": "pretrained", "from_checkpoint": str(at.pretrained)}
    student = recipe.student.model_copy(update=start)
    changed = recipe.model_copy(update={"data": data, "student": student})
    pipeline.distill(changed, at.data, at.teacher, at.student)
    assert done == {"distill": []}


def test_another_value_redoes_what_the_old_version_would_have_redone(recipe, done):
    encode = recipe.encode.model_copy(update={"pooling": "cls"})
    run(recipe.model_copy(update={"encode": encode}))
    assert {"train", "distill", "finetune"} <= set(done)
    assert done["finetune"] == []
    assert "prepare" not in done and "pretrain" not in done


def test_every_key_has_its_old_name_in_the_hash(recipe):
    dumped = recipe.model_dump(mode="json") | {"name": "old"}
    sections = (dumped["data"], dumped["pretrain"], dumped["distill"], dumped["distill"]["unlabelled"])
    for source in (
        one for part in sections for key in ("sources", "texts", "transfer") for one in part.get(key, ())
    ):
        for later in ("explode", "encoding"):
            assert source.pop(later) is None, "a later key, which stamps leave out where it is not used"
    del dumped["gate"]  # a later section
    assert content_hash(with_old_names(dumped)) == STORED["hash_of_the_recipe"]


def test_an_old_recipe_is_read_and_told_the_new_names(recipe, caplog):
    found = load_recipe(Path("old.toml"))
    assert found == recipe.model_copy(update={"name": "old"})
    [said] = [record.getMessage() for record in caplog.records if record.name == "attar.recipe.load"]
    for part in (
        "old.toml: ",
        "data.sources.0.form is now data.sources.0.format",
        "encode.reads is now encode.pooling",
        "train.head is now train.head_init",
        "train.accumulate is now train.gradient_accumulation_steps",
        "distill.clip is now distill.max_grad_norm",
        "distill.transfer.0.form is now",
        "distill.unlabelled.0.form is now",
        "pretrain.mask_share is now pretrain.mlm_probability",
        "the old names are still read",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("override", "section", "key", "value", "said"),
    [
        ("encode.reads=mark", "encode", "pooling", "entity_start", "encode.reads is now encode.pooling"),
        ("encode.pooling=mark", "encode", "pooling", "entity_start", ""),
        ("distill.head=random", "distill", "head_init", "random", "distill.head is now distill.head_init"),
        ("distill.head_init=probe", "distill", "head_init", "linear_probe", ""),
        ("finetune.log_every=3", "finetune", "log_interval", 3, "finetune.log_every is now"),
    ],
)
def test_overrides_are_read_and_told_too(override, section, key, value, said, caplog):
    made = make_recipe({"name": "x"}, [override])
    assert getattr(getattr(made, section), key) == value
    assert said in caplog.text


def test_an_override_by_the_old_name_wins_over_the_new_one_in_the_file():
    made = make_recipe({"name": "x", "train": {"head_init": "linear_probe"}}, ["train.head=random"])
    assert made.train.head_init == "random"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (
            {"train": {"head": "probe", "head_init": "random"}},
            "'train.head' is now 'train.head_init', which is set",
        ),
        ({"student": {"head": 3}}, "did you mean 'student.heads'?"),
        ({"task": {"name": "t", "labels": ["a", "b"], "aliases": {"form": "a"}}}, None),
    ],
)
def test_what_is_no_old_name_is_left_alone(tree, said):
    if said is None:
        assert make_recipe({"name": "x"} | tree).task.aliases == {"form": "a"}
    else:
        with pytest.raises(RecipeError) as error:
            make_recipe({"name": "x"} | tree)
        assert said in str(error.value)


def test_no_name_is_both_old_and_new():
    assert not set(RENAMED_KEYS) & set(RENAMED_KEYS.values())
    assert set(RENAMED_VALUES) <= set(RENAMED_KEYS.values())


def test_the_stored_form_of_an_input_stays(make_checkpoint):
    made: Checkpoint = make_checkpoint()
    spec = made.encoder.spec
    assert spec.pooling == "entity_start"
    assert spec.to_json()["reads"] == "mark"
    assert list(spec.to_json()) == [
        "style", "max_tokens", "window_chars", "token_types", "reads", "normalise"
    ]  # fmt: skip
    assert type(spec).from_json(spec.to_json()) == spec
    with pytest.raises(KeyError):
        type(spec).from_json(spec.to_json() | {"reads": "sep"})
