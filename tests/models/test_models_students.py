"""Students: their shapes, what they copy, what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import RecipeError
from attar.models.checkpoint import Checkpoint, batch_to, first_position, predict_logits
from attar.models.encoders import Encoder, encoder_layers
from attar.models.students import PRESETS, Shape, build_student, evenly_spaced, shape_of
from attar.recipe.load import StudentRecipe
from attar.task import task_by_name
from attar.text.encoding import InputSpec, TextEncoder

TASK = task_by_name("cosmetics")
WHOLE = {"layers": 2, "hidden": 32, "heads": 4, "intermediate": 64, "vocab_margin": "all"}


@pytest.fixture
def source_of(make_model, tiny_tokenizer):
    def make(kind="bert", **shape):
        return Encoder(make_model(kind, **shape), tiny_tokenizer, kind != "roberta")

    return make


def student_of(source, texts=(), **settings):
    torch.manual_seed(3)
    return build_student(StudentRecipe(**(WHOLE | settings)), source, texts, num_labels=3, dropout=0.1)


def checkpoint_of(encoder, pooling=None):
    spec = InputSpec.for_task(TASK, 24, token_types=encoder.token_types, pooling=pooling)
    return Checkpoint(encoder.model.eval(), TextEncoder(encoder.tokenizer, spec), TASK)


def hidden_states(encoder, items):
    checkpoint = checkpoint_of(encoder)
    inputs = batch_to(checkpoint, checkpoint.encoder.encode(items))
    with torch.inference_mode():
        states = encoder.model.base_model(**inputs).last_hidden_state
    return states[inputs["attention_mask"] == 1]


def test_presets_are_the_shapes_they_say():
    assert shape_of(StudentRecipe()) == Shape(4, 312, 12, 1200)
    for preset, (layers, hidden, heads, intermediate) in PRESETS.items():
        assert shape_of(StudentRecipe(preset=preset)) == (layers, hidden, heads, intermediate)
        if "x" in preset:
            assert preset == f"{layers}x{hidden}"
    wider = StudentRecipe(preset="2x128", layers=3, hidden=96, heads=6, intermediate=100)
    assert shape_of(wider) == (3, 96, 6, 100)
    assert set(PRESETS) == set(StudentRecipe.model_fields["preset"].annotation.__args__)


@pytest.fixture(scope="module")
def wide(make_model, tiny_tokenizer):
    """A teacher as wide as a base model."""
    shape = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 6, "num_attention_heads": 12}
    return Encoder(make_model(**shape), tiny_tokenizer, token_types=True)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_build(wide, preset):
    shape = PRESETS[preset]
    recipe = StudentRecipe(preset=preset, vocab_margin="all")
    model = build_student(recipe, wide, (), num_labels=3, dropout=0.1).model
    layers = encoder_layers(model)
    assert len(layers) == shape.layers == model.config.num_hidden_layers
    for layer in layers:
        attention = layer.attention.self
        assert attention.num_attention_heads == shape.heads
        assert attention.query.weight.shape == (shape.hidden, shape.hidden)
        assert layer.intermediate.dense.weight.shape == (shape.intermediate, shape.hidden)
    assert model.classifier.weight.shape == (3, shape.hidden)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_equal_width_copies_the_chosen_layers_exactly(source_of):
    source = source_of(num_hidden_layers=4)
    student = student_of(source, from_layers=(4, 2))
    for mine, index in zip(encoder_layers(student.model), (3, 1), strict=True):
        theirs = encoder_layers(source.model)[index].state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.state_dict().items())
    ours, embeddings = student.model.base_model, source.model.base_model.embeddings.state_dict()
    for name, value in ours.embeddings.state_dict().items():
        assert torch.equal(value, embeddings[name]), name
    assert torch.equal(ours.pooler.dense.weight, source.model.base_model.pooler.dense.weight)
    assert torch.equal(student.model.classifier.bias, source.model.classifier.bias)


@pytest.mark.parametrize("act", ["gelu", "relu"])
@pytest.mark.parametrize("pooling", ["cls", "entity_start"])
def test_the_whole_teacher_gives_its_own_logits(source_of, make_examples, pooling, act):
    source, items = source_of(hidden_act=act), make_examples(20)
    theirs = predict_logits(checkpoint_of(source, pooling), items)
    for margin in ("all", 0, 9):
        student = student_of(source, [e.text for e in items], vocab_margin=margin)
        ours = predict_logits(checkpoint_of(student, pooling), items)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    assert np.abs(theirs - theirs[0]).max() > 0.1


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "ernie"])
def test_other_architectures_give_their_own_hidden_states(source_of, make_examples, kind):
    source, items = source_of(kind), make_examples(12)
    student = student_of(source, [e.text for e in items])
    torch.testing.assert_close(hidden_states(student, items), hidden_states(source, items), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "heads", "intermediate", "layers"),
    [(24, 4, 40, 2), (24, 2, 64, 1), (16, 4, 64, 2), (32, 2, 17, 2), (30, 3, 10, 1), (8, 1, 8, 1)],
)
def test_narrower_students_have_their_shape_and_are_finite(
    source_of, make_examples, hidden, heads, intermediate, layers
):
    items = make_examples(8)
    shape = {"hidden": hidden, "heads": heads, "intermediate": intermediate, "layers": layers}
    student = student_of(source_of(), [e.text for e in items], vocab_margin=2, **shape)
    config = student.model.config
    assert (config.hidden_size, config.num_attention_heads) == (hidden, heads)
    assert (config.intermediate_size, config.num_hidden_layers) == (intermediate, layers)
    assert config.vocab_size == student.tokenizer.get_vocab_size()
    assert student.model.base_model.embeddings.position_embeddings.weight.shape == (80, hidden)
    logits = predict_logits(checkpoint_of(student), items)
    assert np.isfinite(logits).all()
    assert len(np.unique(logits, axis=0)) == 8


def test_the_strongest_dimensions_are_kept(source_of):
    source = source_of(num_hidden_layers=1)
    layer = encoder_layers(source.model)[0]
    strong = torch.tensor([1, 5, 6, 9, 17, 18, 30, 31])
    with torch.no_grad():
        for reader in (
            *(getattr(layer.attention.self, n) for n in ("query", "key", "value")),
            layer.intermediate.dense,
        ):
            reader.weight[:, strong] += 10.0
        layer.intermediate.dense.weight[[3, 60]] += 50.0
    student = student_of(source, layers=1, hidden=8, heads=4, intermediate=2).model
    words = source.model.base_model.embeddings.word_embeddings.weight
    assert torch.equal(student.base_model.embeddings.word_embeddings.weight, words[:, strong])
    mine = encoder_layers(student)[0]
    assert torch.equal(mine.intermediate.dense.weight, layer.intermediate.dense.weight[[3, 60]][:, strong])
    assert torch.equal(mine.output.dense.weight, layer.output.dense.weight[strong][:, [3, 60]])


def test_a_random_start_copies_nothing_but_the_input(source_of):
    source = source_of()
    a, b = (student_of(source, start="random", layers=3, hidden=48, heads=4) for _ in range(2))
    words = a.model.base_model.embeddings.word_embeddings.weight
    assert words.shape == (source.tokenizer.get_vocab_size(), 48)
    assert abs(words[1:].std().item() - 0.02) < 0.005
    assert torch.equal(words, b.model.base_model.embeddings.word_embeddings.weight)  # by the seed
    assert a.tokenizer.get_vocab() == source.tokenizer.get_vocab()


def test_dropout_is_the_one_asked_for(source_of):
    model = student_of(source_of()).model
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("bert", {"hidden": 30, "heads": 4}, "hidden = 30 is no multiple of heads = 4"),
        ("bert", {"hidden": 64}, "cannot start from layers that are 32 wide"),
        ("bert", {"intermediate": 65}, "FFN 65"),
        ("bert", {"heads": 8}, "student.heads = 8"),
        ("bert", {"layers": 3, "from_layers": (1, 2)}, "need 3"),
        ("bert", {"from_layers": (1, 3)}, "layers 1 to 2"),
        ("bert", {"from_layers": (0, 1)}, "layers 1 to 2"),
        ("bert", {"layers": 3}, "layers"),  # more than the source has
        ("albert", {}, "student.start = 'random'"),
        ("electra-small", {"hidden": 16}, "student.start = 'random'"),
    ],
)
def test_impossible_students_are_refused(source_of, kind, settings, said):
    with pytest.raises(RecipeError, match=said):
        student_of(source_of(kind), **settings)


def test_albert_and_small_electra_can_teach_a_student_with_a_random_start(source_of, make_examples):
    for kind in ("albert", "electra-small"):
        student = student_of(source_of(kind), start="random")
        assert np.isfinite(predict_logits(checkpoint_of(student), make_examples(4))).all()


@given(st.integers(1, 24), st.data())
def test_evenly_spaced(total, data):
    wanted = data.draw(st.integers(1, total))
    layers = evenly_spaced(total, wanted)
    assert len(set(layers)) == wanted
    assert list(layers) == sorted(layers)
    assert layers[0] >= 1
    assert layers[-1] == total
    gaps = np.diff([0, *layers])
    assert gaps.max() - gaps.min() <= 1


def test_evenly_spaced_as_the_known_presets():
    assert evenly_spaced(12, 3) == (4, 8, 12)
    assert evenly_spaced(12, 4) == (3, 6, 9, 12)
    assert evenly_spaced(12, 6) == (2, 4, 6, 8, 10, 12)


def test_first_position(source_of):
    assert [first_position(source_of(kind).model) for kind in ("bert", "roberta", "ernie")] == [0, 1, 0]
