"""The distill stage: who may teach whom, by what, and what the student's checkpoint says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from attar import pipeline
from attar.distillation.cache import CACHE_FOLDER
from attar.distillation.settings import StudentSettings
from attar.distillation.stage import distill, finetune_student
from attar.errors import RecipeError
from attar.models.checkpoint import Checkpoint, load_checkpoint, predict_logits, save_checkpoint
from attar.pipeline import prepare
from attar.recipe.load import DistillRecipe, FitRecipe, Recipe, SourceRecipe, make_recipe
from attar.records.prepared_folder import load_split
from attar.task import Task
from attar.text.encoding import TextEncoder

pytestmark = pytest.mark.usefixtures("narrow_search")

STUDENT = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocab_margin": 5}
FIT = {"precision": "fp32", "dropout": 0.0, "learning_rate": 1e-3, "batch_size": 16, "epochs": 4}
HIDDEN = {"loss": "hidden_mse", "teacher_layer": 2, "student_layer": 1}
ATTENTION = {"feature": "attention", "loss": "attention_mse_sum", "teacher_layer": 2, "student_layer": 1}


@pytest.fixture(scope="module")
def recipe(encoder_folder):
    return Recipe(
        name="tiny",
        encode={"max_tokens": 24},
        train=FIT | {"encoder": str(encoder_folder)},
        student=STUDENT,
        distill=FIT | {"temperature": 2, "soft_weight": 1.0, "hard_weight": 0.0, "epochs": 20},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory, recipe, make_rows):
    folder = tmp_path_factory.mktemp("distillation")
    rows = make_rows(folder / "rows.jsonl", 90)
    return prepare(recipe, [SourceRecipe(path=str(rows))], folder / "data")


@pytest.fixture
def teach(tmp_path, recipe, data):
    """``teach(out, *checkpoints, **settings)``: a student's checkpoint and its losses, first to last."""

    def run(out, *teachers, start="layers", **settings):
        folders = []
        for i, teacher in enumerate(teachers):
            folders.append(teacher if teacher == "linear" else tmp_path / f"{out}-teacher{i}")
            if isinstance(teacher, Checkpoint):
                save_checkpoint(teacher, folders[-1])
        changed = recipe.model_copy(
            update={
                "student": recipe.student.model_copy(update={"start": start}),
                "distill": DistillRecipe(**recipe.distill.model_dump() | {"epochs": 2} | settings),
            }
        )
        distill(StudentSettings.taught(changed), data, folders, tmp_path / out)
        lines = (tmp_path / out / "metrics.jsonl").read_text().splitlines()
        losses = [line for line in map(json.loads, lines) if any(key.startswith("loss/") for key in line)]
        return load_checkpoint(tmp_path / out), losses

    return run


def dev_logits(student, data):
    return predict_logits(student, load_split(data, "dev"))


def test_the_student_comes_nearer_to_its_teacher(tmp_path, recipe, data, make_checkpoint):
    teacher = make_checkpoint(seed=6)
    save_checkpoint(teacher, tmp_path / "teacher")
    assert (
        distill(StudentSettings.taught(recipe), data, [tmp_path / "teacher"], tmp_path / "student")
        == tmp_path / "student"
    )
    student = load_checkpoint(tmp_path / "student")
    assert student.model.config.hidden_size == 16
    assert student.encoder.tokenizer.get_vocab_size() < teacher.encoder.tokenizer.get_vocab_size()
    assert student.encoder.spec.max_tokens == 24
    notes = student.notes
    assert (notes["role"], notes["num_train"]) == ("student", len(load_split(data, "train")))
    assert (notes["teachers"], notes["matches"]) == ([["teacher", 1.0]], [])
    assert 0 <= notes["dev_score"] <= 1
    lines = [json.loads(line) for line in (tmp_path / "student" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss/soft"] for line in lines if "loss/soft" in line]
    assert losses[-1] < 0.7 * losses[0]
    assert all(line["loss/hard"] == 0 for line in lines if "loss/hard" in line)
    assert not (tmp_path / "student" / "state").exists()
    assert list((tmp_path / "student" / CACHE_FOLDER).glob("logits-*.npy"))


@pytest.mark.parametrize("labels", [("积极", "中性", "消极"), ("消极", "积极"), ("a", "b", "c")])
def test_other_labels_are_refused(tmp_path, recipe, data, make_checkpoint, labels):
    save_checkpoint(make_checkpoint(), tmp_path / "first")
    save_checkpoint(make_checkpoint(task=Task("other", labels)), tmp_path / "second")
    with pytest.raises(RecipeError, match="labels and their order must be the same") as error:
        distill(
            StudentSettings.taught(recipe),
            data,
            [tmp_path / "first", tmp_path / "second"],
            tmp_path / "student",
        )
    assert str(tmp_path / "second") in str(error.value)
    assert not (tmp_path / "student").exists()


def test_no_teacher_is_said(tmp_path, recipe, data):
    with pytest.raises(RecipeError, match="no teacher; name a checkpoint, or 'linear'"):
        distill(StudentSettings.taught(recipe), data, [], tmp_path / "student")


def test_a_collapsed_teacher_is_refused_unless_it_is_asked_for(teach, make_checkpoint):
    collapsed = replace(make_checkpoint(), notes={"collapsed": True})
    complaint = r"again-teacher1: this teacher collapsed.*train.learning_rate.*distill.allow_collapsed=true"
    with pytest.raises(RecipeError, match=complaint):
        teach("again", make_checkpoint(seed=5), collapsed)
    found = teach("anyway", collapsed, allow_collapsed=True, epochs=1)
    assert found[0].notes["teachers"] == [["anyway-teacher0", 1.0]]


def test_a_run_stops_after_a_teacher_that_collapsed(tmp_path, recipe, data, monkeypatch):
    import attar.training.stage
    from attar.training.fit import DevScore

    monkeypatch.setattr(attar.training.stage, "dev_scorer", lambda *_: lambda: DevScore(0.2, collapsed=True))
    quick = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1})})
    teacher = pipeline.train(quick, data, tmp_path / "teacher")
    assert json.loads((teacher / "attar.json").read_text("utf-8"))["notes"]["collapsed"] is True
    with pytest.raises(RecipeError, match="collapsed"):
        pipeline.distill(quick, data, teacher, tmp_path / "student")
    assert not (tmp_path / "student" / "attar.json").exists()


def test_one_teacher_twice_is_one_teacher(teach, data, make_checkpoint):
    once, _ = teach("once", make_checkpoint(seed=6))
    twice, _ = teach("twice", make_checkpoint(seed=6), make_checkpoint(seed=6))
    np.testing.assert_array_equal(dev_logits(once, data), dev_logits(twice, data))


@pytest.mark.parametrize("weights", ["dev", (3, 1, 0.5)])
def test_teachers_of_other_architectures_and_vocabularies(
    tmp_path, teach, make_checkpoint, make_tokenizer, weights
):
    bert, albert = make_checkpoint(seed=6), make_checkpoint("albert", seed=7)
    ids = albert.encoder.tokenizer.get_vocab()
    fewer = make_tokenizer(sorted(ids.keys() - {"白", "贴"}, key=ids.__getitem__))
    foreign = replace(albert, encoder=TextEncoder(fewer, albert.encoder.spec))
    student, losses = teach("student", bert, foreign, "linear", teacher_weights=weights, epochs=8)
    names, shares = zip(*student.notes["teachers"], strict=True)
    assert names == ("student-teacher0", "student-teacher1", "linear")
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert losses[-1]["loss/soft"] < losses[0]["loss/soft"]
    folder = sorted((tmp_path / "student" / CACHE_FOLDER).iterdir())
    assert len(folder) == 3 if weights != "dev" else 6


def test_matches_with_the_only_teacher_of_a_foreign_input_are_refused(teach, make_checkpoint):
    for matches in ("auto", (HIDDEN,)):
        with pytest.raises(RecipeError, match=r"teacher0 encodes \d+ of \d+ .*to learn from logits alone"):
            teach("student", make_checkpoint(pooling="cls"), matches=matches)
    _, losses = teach("student", make_checkpoint(pooling="cls"))
    assert np.isfinite(losses[-1]["loss/soft"])


def test_the_linear_model_alone_teaches(teach):
    student, losses = teach("student", "linear", epochs=15, learning_rate=5e-3)
    assert student.notes["teachers"] == [["linear", 1.0]]
    assert losses[-1]["loss/soft"] < 0.7 * losses[0]["loss/soft"]
    assert student.notes["dev_score"] > 0.6


@pytest.mark.parametrize("kind", ["bert", "electra", "albert"])
def test_matches_bring_the_student_nearer_to_the_layers(teach, make_checkpoint, kind):
    teacher, start = make_checkpoint(kind, seed=6), "random" if kind == "albert" else "layers"
    settings = {"matches": ("auto", HIDDEN, ATTENTION), "epochs": 8, "start": start, "learning_rate": 5e-3}
    student, losses = teach("student", teacher, **settings)
    names = student.notes["matches"]
    assert len(names) == 5
    # The relations of queries and keys with those of a random teacher are slow to learn.
    for name in names[2:]:
        assert losses[-1][f"loss/{name}"] < 0.98 * losses[0][f"loss/{name}"], name
    assert not any("projections" in name for name in student.model.state_dict())


def test_matches_alone_teach_too(tmp_path, teach, make_checkpoint):
    _, losses = teach("student", make_checkpoint(seed=6), matches=(HIDDEN,), soft_weight=0, epochs=10)
    assert losses[-1]["loss/hidden_mse@1-2"] < 0.9 * losses[0]["loss/hidden_mse@1-2"]
    assert all(line["loss/hard"] == 0 for line in losses)
    assert not list((tmp_path / "student").glob(f"{CACHE_FOLDER}/*"))


@pytest.mark.parametrize("kind", ["electra", "albert"])
def test_cached_or_along_is_the_same(tmp_path, teach, data, make_checkpoint, kind, monkeypatch):
    # bf16 rounds differently in batches of other sizes; here is tested what the caches cost.
    monkeypatch.setattr("attar.models.precision.computes_in_bf16", lambda: False)
    teachers = [make_checkpoint(kind, seed=6), make_checkpoint(seed=7)]
    settings = {"matches": ("auto", HIDDEN), "start": "random" if kind == "albert" else "layers"}
    kept, found = {}, {}
    for cache in ("logits", "features", "none"):
        student, _ = teach(cache, *teachers, cache=cache, **settings)
        found[cache] = dev_logits(student, data)
        folder = tmp_path / cache / CACHE_FOLDER
        kept[cache] = {path.name.split("-")[0] for path in folder.glob("*.npy")}
    assert kept == {"logits": {"logits"}, "features": {"logits", "features"}, "none": set()}
    # Logits are kept in single precision; hidden states in half, 11 bits, over eight steps.
    np.testing.assert_allclose(found["none"], found["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found["features"], found["logits"], rtol=0, atol=5e-3)


def test_one_pass_over_the_examples_gives_features_and_logits(
    tmp_path, teach, data, make_checkpoint, monkeypatch
):
    computed = []

    def counted(checkpoint, examples, **settings):
        computed.append(len(examples))
        return predict_logits(checkpoint, examples, **settings)

    monkeypatch.setattr("attar.distillation.teachers.predict_logits", counted)
    teachers, settings = (
        [make_checkpoint(seed=6), make_checkpoint(seed=7)],
        {"matches": (HIDDEN,), "epochs": 1},
    )
    teach("student", *teachers, cache="features", **settings)
    num_train = len(load_split(data, "train"))
    assert computed == [num_train]  # the second teacher alone

    # Features on disk, logits lost: those are computed again.
    for path in (tmp_path / "student" / CACHE_FOLDER).glob("logits-*"):
        path.unlink()
    teach("student", *teachers, cache="features", **settings)
    assert computed == [num_train] * 3


def test_attentions_are_never_cached(tmp_path, teach, make_checkpoint):
    teach("student", make_checkpoint(), matches=(ATTENTION, HIDDEN), cache="features", epochs=1)
    assert not list((tmp_path / "student" / CACHE_FOLDER).glob("features-*"))


def test_a_bound_on_the_cache(teach, make_checkpoint):
    with pytest.raises(RecipeError, match=r"more than distill.cache_limit_gb"):
        teach("student", make_checkpoint(), matches=(HIDDEN,), cache="features", cache_limit_gb=1e-6)


def test_matches_under_bf16(teach, make_checkpoint):
    settings = {"matches": ("auto", HIDDEN, ATTENTION), "learning_rate": 5e-3, "epochs": 6}
    _, losses = teach("student", make_checkpoint(), precision="bf16", **settings)
    assert losses[-1]["loss/hidden_mse@1-2"] < 0.9 * losses[0]["loss/hidden_mse@1-2"]
    assert np.isfinite([value for line in losses for name, value in line.items() if name != "crc32"]).all()


def test_hidden_tokens_and_accumulation_go_with_matches(teach, data, make_checkpoint):
    settings = {"matches": ("auto", HIDDEN), "cache": "features"}
    whole, _ = teach("whole", make_checkpoint(), **settings)
    parts, _ = teach("parts", make_checkpoint(), gradient_accumulation_steps=4, **settings)
    np.testing.assert_allclose(dev_logits(whole, data), dev_logits(parts, data), rtol=0, atol=1e-3)
    hidden, losses = teach("hidden", make_checkpoint(), token_dropout=0.2, **settings)
    assert np.isfinite([value for line in losses for name, value in line.items() if name != "crc32"]).all()
    assert not np.allclose(dev_logits(hidden, data), dev_logits(whole, data), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"match_scale": "textbrewer", "matches": ("auto", HIDDEN, {**HIDDEN, "loss": "mmd"})},
        {"match_scale": "textbrewer", "matches": (ATTENTION,), "mask_padding": False},
    ],
)
def test_parts_of_a_batch_add_up_by_tokens_too(teach, data, make_checkpoint, settings):
    settings = settings | {"learning_rate": 3e-3}
    whole, _ = teach("whole", make_checkpoint(), **settings)
    parts, _ = teach("parts", make_checkpoint(), gradient_accumulation_steps=5, **settings)
    np.testing.assert_allclose(dev_logits(whole, data), dev_logits(parts, data), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cache": "none"},
        {"matches": ("auto",)},
        {"matches": ("auto",), "cache": "features"},
        {"soft_weight": 0.0, "hard_weight": 1.0, "sampling": "balanced"},
    ],
)
def test_labels_are_sampled_whatever_is_learnt(teach, make_checkpoint, settings):
    _, losses = teach("student", make_checkpoint(), **{"sampling": "sqrt", "epochs": 1} | settings)
    assert np.isfinite([value for line in losses for name, value in line.items() if name != "crc32"]).all()


def test_finetuned_is_the_same_student_without_a_teacher(tmp_path, recipe, data):
    finetune_student(StudentSettings.alone(recipe), data, tmp_path / "finetuned")
    student = load_checkpoint(tmp_path / "finetuned")
    assert student.model.config.hidden_size == 16
    assert student.notes["role"] == "finetuned"
    lines = [json.loads(line) for line in (tmp_path / "finetuned" / "metrics.jsonl").read_text().splitlines()]
    assert any(line.get("loss/hard", 0) > 0 for line in lines)
    assert not any("loss/soft" in line for line in lines)
    assert np.isfinite(predict_logits(student, load_split(data, "dev"))).all()


def recipe_of(**distill):
    return make_recipe({"name": "r", "distill": distill})


def test_matches_in_a_recipe():
    assert [m.preset for m in recipe_of(matches="auto").distill.matches] == ["auto"]
    mixed = recipe_of(matches=["L4t_hidden_mse", HIDDEN | {"weight": 2}]).distill.matches
    assert [(m.preset, m.loss, m.weight) for m in mixed] == [
        ("L4t_hidden_mse", None, 1.0),
        (None, "hidden_mse", 2.0),
    ]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"matches": [{"loss": "hidden_mse"}]}, "needs the name of a preset, or loss, teacher_layer"),
        ({"matches": [{"preset": "auto", "loss": "mmd"}]}, "give one of the two"),
        ({"matches": [{"los": "mmd"}]}, "did you mean 'distill.matches.loss'"),
        ({"soft_weight": 0, "hard_weight": 0}, "no matches: nothing to learn from"),
        ({"cache": "features", "mask_padding": False}, "set cache = 'logits'"),
        ({"teacher_weights": [1, -1]}, "greater than or equal to 0"),
    ],
)
def test_what_a_recipe_may_not_say(keys, complaint):
    with pytest.raises(RecipeError, match=complaint):
        recipe_of(**keys)


def test_finetuning_leaves_every_teacher_out():
    loaded = recipe_of(
        matches="auto", soft_loss="ce", dynamic_temperature="flsw", cache="none", teacher_weights="dev",
        mask_padding=False, more_teachers=["linear"], hard_schedule="linear_decay", epochs=7,
        transfer=["x.csv"],
    )  # fmt: skip
    alone = loaded.finetuning()
    assert (alone.soft_weight, alone.hard_weight, alone.temperature) == (0, 1, 1)
    assert (alone.matches, alone.more_teachers, alone.transfer) == (DistillRecipe().matches, (), ())
    assert alone == recipe_of(epochs=7).finetuning()
    assert set(FitRecipe.model_fields) < set(DistillRecipe.model_fields)


def test_more_teachers_stand_beside_the_recipe(tmp_path):
    loaded = make_recipe(
        {"name": "r", "distill": {"more_teachers": ["other", "linear", "/abs"]}}, folder=tmp_path
    )
    assert loaded.distill.more_teachers == (str(tmp_path / "other"), "linear", "/abs")


def test_the_verb_knows_its_teachers(tmp_path, recipe, data, make_checkpoint, monkeypatch):
    calls = []

    def work(_recipe, _data, teachers, out):
        calls.append(teachers)
        (out / "weights").write_text("")

    monkeypatch.setattr("attar.distillation.stage.distill", work)
    for name, seed in (("a", 1), ("b", 2)):
        save_checkpoint(make_checkpoint(seed=seed), tmp_path / name)
    a, b, out = tmp_path / "a", tmp_path / "b", tmp_path / "student"
    for teachers in (a, [a], [a, "linear"], [a, b], [b, a], [b, a]):
        pipeline.distill(recipe, data, teachers, out)
    assert calls == [[a], [a, "linear"], [a, b], [b, a]]
    larger = recipe.distill.model_copy(update={"cache_limit_gb": 99.0})
    pipeline.distill(recipe.model_copy(update={"distill": larger}), data, [b, a], out)
    more = recipe.distill.model_copy(update={"more_teachers": (str(a),)})
    pipeline.distill(recipe.model_copy(update={"distill": more}), data, b, out)
    assert len(calls) == 4
    save_checkpoint(make_checkpoint(seed=3), a)
    pipeline.distill(recipe, data, [b, a], out)
    pipeline.distill(recipe, data, ["linear"], out)
    assert calls[4:] == [[b, a], ["linear"]]


def test_a_misspelt_preset_stops_a_run_before_its_first_stage(tmp_path, recipe):
    wrong = recipe.distill.model_copy(update={"matches": DistillRecipe(matches=("auot",)).matches})
    with pytest.raises(RecipeError, match="did you mean 'auto'"):
        pipeline.run_recipe(recipe.model_copy(update={"distill": wrong}), tmp_path / "run", print)
    assert not (tmp_path / "run").exists()
