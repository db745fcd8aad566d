"""Who is matched with the student, and with which layers."""

import logging

import pytest

from attar.distillation.matches import PRESET_MATCHES, check_names
from attar.distillation.pairing import find_matched, resolve_matches
from attar.distillation.teachers import Teacher
from attar.errors import RecipeError
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import DistillRecipe
from attar.task import task_by_name
from attar.text.encoding import InputSpec, TextEncoder
from attar.text.vocabulary import prune_vocabulary

TASK = task_by_name("cosmetics")


def entries(*matches):
    return DistillRecipe(matches=matches).matches


def teacher_of(checkpoint, name="teacher"):
    return Teacher(name, name, lambda _: None, checkpoint)


@pytest.fixture
def student(make_checkpoint):
    return make_checkpoint(seed=5)


def find(teachers, student, examples, *matches):
    return find_matched(teachers, student, examples, entries(*(matches or ("auto",))), "scores")


def with_tokenizer(checkpoint, tokenizer):
    return Checkpoint(checkpoint.model, TextEncoder(tokenizer, checkpoint.encoder.spec), TASK)


def test_auto_takes_the_last_layers_of_any_depths(student, make_checkpoint):
    found = resolve_matches(entries("auto"), student, make_checkpoint("albert"))
    assert [(m.feature, m.loss, m.teacher_layer, m.student_layer) for m in found] == [
        (feature, "relation", 2, 2) for feature in ("query", "key", "value")
    ]


def test_tables_and_weights(student, make_checkpoint):
    table = {"loss": "hidden_mse", "teacher_layer": 2, "student_layer": 1, "weight": 3}
    (found,) = resolve_matches(entries(table), student, make_checkpoint())
    assert (found.teacher_layer, found.student_layer, found.weight, found.projection) == (2, 1, 3, None)
    pair = {"loss": "mmd", "teacher_layer": [0, 2], "student_layer": [0, 1]}
    (found,) = resolve_matches(entries(pair), student, make_checkpoint())
    assert (found.teacher_layer, found.student_layer) == ((0, 2), (0, 1))
    relations = resolve_matches(entries({"preset": "auto", "weight": 0.5}), student, make_checkpoint())
    assert {match.weight for match in relations} == {0.5}


def test_a_projection_where_the_widths_differ(student, make_model, tiny_tokenizer):
    wide = make_model(hidden_size=48)
    spec = InputSpec.for_task(TASK, 24, token_types=True)
    teacher = Checkpoint(wide, TextEncoder(tiny_tokenizer, spec), TASK)
    table = {"loss": "hidden_mse", "teacher_layer": 2, "student_layer": 1}
    (found,) = resolve_matches(entries(table), student, teacher)
    assert found.projection == (32, 48)


def test_every_preset_is_known_and_others_are_not():
    check_names(entries("auto", *PRESET_MATCHES))
    with pytest.raises(
        RecipeError, match="no preset is called 'L4t_hiden_mse'; did you mean 'L4t_hidden_mse'"
    ):
        check_names(entries("L4t_hiden_mse"))
    with pytest.raises(RecipeError, match="no preset is called 'xyz'; there are auto, auto_hidden, L3_"):
        check_names(entries("xyz"))


@pytest.mark.parametrize(
    ("match", "complaint"),
    [
        ("L4t_hidden_mse", "wants layer 3 of the teacher"),
        ({"loss": "hiden_mse", "teacher_layer": 1, "student_layer": 1}, "did you mean 'hidden_mse'"),
        ({"loss": "attention_mse", "teacher_layer": 1, "student_layer": 1}, "compares attention"),
    ],
)
def test_what_cannot_be_compared_is_refused(student, make_checkpoint, match, complaint):
    with pytest.raises(RecipeError, match=complaint):
        resolve_matches(entries(match), student, make_checkpoint())


def test_a_pruned_vocabulary_reads_the_same_tokens(student, make_checkpoint, make_examples):
    examples = make_examples(30)
    pruned, old_ids = prune_vocabulary(student.encoder.tokenizer, (e.text for e in examples), 0)
    assert len(old_ids) < student.encoder.tokenizer.get_vocab_size()
    teacher = teacher_of(make_checkpoint("electra"))
    matched, online, matches = find([teacher], with_tokenizer(student, pruned), examples)
    assert matched is teacher
    assert online.layers == {"query": (2,), "key": (2,), "value": (2,)}
    assert len(matches) == 3


def test_the_first_teacher_that_reads_alike_is_matched(student, make_checkpoint, make_examples, caplog):
    teachers = [
        Teacher("linear", "linear", lambda _: None),
        teacher_of(make_checkpoint(max_tokens=12), "short"),
        teacher_of(make_checkpoint("albert"), "alike"),
        teacher_of(make_checkpoint(), "alike too"),
    ]
    with caplog.at_level(logging.INFO):
        matched, *_ = find(teachers, student, make_examples(20))
    assert matched.name == "alike"
    assert "matches with alike: query_relation@2-2" in caplog.text


def test_other_tokens_or_places_are_refused_with_what_is_possible(
    student, make_checkpoint, make_tokenizer, make_examples
):
    examples = make_examples(20)
    ids = student.encoder.tokenizer.get_vocab()
    tokens = sorted(ids.keys() - {"红"}, key=ids.__getitem__)
    other = with_tokenizer(make_checkpoint(), make_tokenizer(tokens))
    with pytest.raises(RecipeError) as error:
        find(
            [teacher_of(other, "foreign"), teacher_of(make_checkpoint(pooling="cls"), "moved")],
            student,
            examples,
        )
    message = str(error.value)
    assert "foreign encodes 20 of 20 examples differently;" in message
    assert (
        "moved encodes 20 of 20 examples differently (pooling 'cls', the student 'entity_start')" in message
    )
    assert "Leave matches out to learn from logits alone" in message
    linear = Teacher("linear", "linear", lambda _: None)
    with pytest.raises(RecipeError, match="linear has no layers"):
        find([linear], student, examples)


def test_another_limit_matters_only_where_it_cuts(student, make_checkpoint, make_examples):
    examples = make_examples(40)
    longer = teacher_of(make_checkpoint(max_tokens=60), "longer")
    cut = [i for i, e in enumerate(longer.checkpoint.encoder.encode(examples)) if len(e.ids) > 24]
    assert cut
    short = [e for i, e in enumerate(examples) if i not in cut]
    assert find([longer], student, short)[0] is longer
    with pytest.raises(
        RecipeError, match=rf"longer encodes {len(cut)} of 40 .*max_tokens 60, the student 24"
    ):
        find([longer], student, examples)
