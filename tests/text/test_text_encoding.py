"""From an example to ids: the budget, the right occurrence, the moved mark, the padding."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from attar.errors import RecipeError
from attar.task import Example, Task
from attar.text.encoding import InputSpec, TextEncoder, model_inputs
from attar.text.normalise import normalise
from attar.text.vocabulary import texts_read

TEXTS = st.text(
    st.one_of(
        st.sampled_from("的是好差口红，。！？_ abest019"),
        st.sampled_from("😀👩‍🔬é\u0301\u200b\t\nßＡ１"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=90,
)


@st.composite
def examples(draw):
    text = draw(TEXTS)
    start = draw(st.integers(0, len(text)))
    return Example(text, start, draw(st.integers(start, len(text))))


def encoder_of(tokenizer, style="marked_pair", max_tokens=24, window_chars=None, pooling="cls"):
    return TextEncoder(tokenizer, InputSpec(style, max_tokens, window_chars, pooling=pooling))


def in_reading_order(encoding):
    """The ids as if the mark had not been moved to the front."""
    ids, read = encoding.ids.tolist(), encoding.first_position
    return ids[1 : read + 1] + ids[:1] + ids[read + 1 :] if read else ids


def shown(tokenizer, ids):
    return "".join(tokenizer.id_to_token(int(i)).removeprefix("##") for i in ids)


def ids_of(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


@given(examples(), st.integers(8, 70), st.none() | st.integers(1, 30))
@example(Example("", 0, 0), 8, None)
@example(Example("好" * 90, 20, 80), 8, None)
@example(Example("口红" + "，" * 80, 0, 2), 9, 30)
def test_marked_pair_reads_around_the_term(tiny_tokenizer, item, max_tokens, window):
    encoder = encoder_of(tiny_tokenizer, "marked_pair", max_tokens, window, "entity_start")
    (encoding,) = encoder.encode([item])
    ids, second, read = encoding
    assert ids.dtype == np.int32
    assert len(ids) <= max_tokens
    assert ids[0] == tiny_tokenizer.token_to_id("_")
    first, repeated = in_reading_order(encoding)[:second], ids[second:].tolist()
    cls, sep, mark = (tiny_tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]", "_"))
    assert (first[0], first[-1], repeated[-1]) == (cls, sep, sep)
    near = window if window is not None else len(item.text)
    left = ids_of(tiny_tokenizer, item.text[max(0, item.start - near) : item.start])
    term = ids_of(tiny_tokenizer, item.term)
    right = ids_of(tiny_tokenizer, item.text[item.end : item.end + near])
    kept_term = repeated[:-1]
    # What stands before the mark is the end of the left side, what follows the term the right's start.
    assert first[read] == mark
    assert first[1:read] == left[len(left) - (read - 1) :]
    assert first[read + 1 : read + 1 + len(kept_term)] == kept_term == term[: len(kept_term)]
    after = first[read + 1 + len(kept_term) :]
    assert after[0] == mark
    assert after[1:-1] == right[: len(after) - 2]
    # Nothing is left out without need.
    if len(left) + 2 * len(term) + len(right) + 5 <= max_tokens:
        assert len(ids) == len(left) + 2 * len(term) + len(right) + 5
    if 2 * len(term) <= max_tokens - 5:
        assert kept_term == term
    else:
        assert len(kept_term) == (max_tokens - 5) // 2


@given(examples(), st.integers(8, 70), st.none() | st.integers(1, 30))
def test_cls_reads_the_same_ids_unmoved(tiny_tokenizer, item, max_tokens, window):
    (moved,) = encoder_of(tiny_tokenizer, "marked_pair", max_tokens, window, "entity_start").encode([item])
    (unmoved,) = encoder_of(tiny_tokenizer, "marked_pair", max_tokens, window, "cls").encode([item])
    assert unmoved.ids.tolist() == in_reading_order(moved)
    assert (unmoved.second, unmoved.first_position) == (moved.second, 0)


@given(examples(), st.integers(8, 70))
def test_other_styles_stay_in_budget(tiny_tokenizer, item, max_tokens):
    cls, sep = tiny_tokenizer.token_to_id("[CLS]"), tiny_tokenizer.token_to_id("[SEP]")
    (pair,) = encoder_of(tiny_tokenizer, "pair", max_tokens).encode([item])
    assert len(pair.ids) <= max_tokens
    assert (pair.ids[0], pair.ids[-1], pair.ids[pair.second - 1], pair.first_position) == (cls, sep, sep, 0)
    (single,) = encoder_of(tiny_tokenizer, "single", max_tokens).encode([item])
    whole = ids_of(tiny_tokenizer, item.text)
    assert single.ids.tolist() == [cls, *whole[: max_tokens - 2], sep]
    assert (single.second, single.first_position) == (len(single.ids), 0)


@given(examples())
def test_marked_pair_is_what_the_marked_sentence_tokenises_to(tiny_tokenizer, item):
    encoder = encoder_of(tiny_tokenizer, "marked_pair", 512)
    marked = f"{item.text[: item.start]}_{item.term}_{item.text[item.end :]}"
    whole = tiny_tokenizer.encode(marked, item.term)
    (encoding,) = encoder.encode([item])
    assert encoding.ids.tolist() == whole.ids
    assert whole.type_ids.index(1) == encoding.second


@pytest.mark.parametrize("pooling", ["cls", "entity_start"])
def test_the_right_occurrence_is_marked(tiny_tokenizer, pooling):
    text = "白口红好，粉口红差，油口红香，干口红贵"
    encoder = encoder_of(tiny_tokenizer, "marked_pair", 15, pooling=pooling)
    starts = [i for i in range(len(text)) if text.startswith("口红", i)]
    got = [
        shown(tiny_tokenizer, in_reading_order(e))
        for e in encoder.encode([Example(text, s, s + 2) for s in starts])
    ]
    assert got == [
        "[CLS]白_口红_好，[SEP]口红[SEP]",
        "[CLS]粉_口红_差，[SEP]口红[SEP]",
        "[CLS]油_口红_香，[SEP]口红[SEP]",
        "[CLS]干_口红_贵[SEP]口红[SEP]",
    ]


def test_a_long_clause_is_cut_evenly(tiny_tokenizer):
    text = "的一是不好差香口红贵油干润白红粉"
    (encoding,) = encoder_of(tiny_tokenizer, "marked_pair", 17).encode([Example(text, 7, 9)])
    assert shown(tiny_tokenizer, encoding.ids) == "[CLS]不好差香_口红_贵油干润[SEP]口红[SEP]"


def test_window_chars_cut_before_the_clauses(tiny_tokenizer):
    (encoding,) = encoder_of(tiny_tokenizer, "pair", 70, 2).encode([Example("一是不好口红差香贵", 4, 6)])
    assert shown(tiny_tokenizer, encoding.ids) == "[CLS]不好口红差香[SEP]口红[SEP]"


def test_a_pair_that_fits_is_read_as_a_whole(tiny_tokenizer):
    encoder = encoder_of(tiny_tokenizer, "pair", 24)
    example = Example("abtest01", 2, 4)  # letters on either side of the term
    (encoding,) = encoder.encode([example])
    whole = tiny_tokenizer.encode("abtest01", "te")  # as a BERT tokenizer reads two sentences
    assert encoding.ids.tolist() == whole.ids
    assert encoder.window(example) == (0, 8)
    tokenizer = tiny_tokenizer
    apart = [ids_of(tokenizer, "ab"), ids_of(tokenizer, "te"), ids_of(tokenizer, "st01")]
    (marked,) = encoder_of(tokenizer, "marked_pair", 24).encode([example])
    assert sum(map(len, apart)) == marked.second - 4
    assert sum(map(len, apart)) != encoding.second - 2


@given(TEXTS, TEXTS.filter(bool), st.sampled_from(["pair", "marked_pair"]), st.integers(8, 40))
def test_a_term_without_a_place_is_a_second_sentence(tiny_tokenizer, text, term, style, max_tokens):
    placed = Example("好口红，香", 1, 3)
    encoder = encoder_of(tiny_tokenizer, style, max_tokens)
    wanted = encoder_of(tiny_tokenizer, "sentence_pair", max_tokens)
    found = encoder.encode([placed, Example(text, 0, 0, second=term), placed])
    (alone,) = wanted.encode([Example(text, 0, 0, second=term)])
    assert (found[1].ids.tolist(), found[1].second) == (alone.ids.tolist(), alone.second)
    assert found[0].ids.tolist() == found[2].ids.tolist() == encoder.encode([placed])[0].ids.tolist()


def test_pair_has_no_marks_and_the_term_twice(tiny_tokenizer):
    (encoding,) = encoder_of(tiny_tokenizer, "pair").encode([Example("好口红，香", 1, 3)])
    assert shown(tiny_tokenizer, encoding.ids) == "[CLS]好口红，香[SEP]口红[SEP]"
    assert encoding.second == 7


@given(TEXTS, TEXTS, st.integers(8, 70))
def test_a_sentence_pair_loses_the_end_of_the_longer_sentence(tiny_tokenizer, text, other, max_tokens):
    encoder = encoder_of(tiny_tokenizer, "sentence_pair", max_tokens)
    (encoding,) = encoder.encode([Example(text, 0, 0, second=other)])
    first, second = ids_of(tiny_tokenizer, text), ids_of(tiny_tokenizer, other)
    while len(first) + len(second) > max_tokens - 3:
        (first if len(first) > len(second) else second).pop()
    cls, sep = (tiny_tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    assert encoding.ids.tolist() == [cls, *first, sep, *second, sep]
    assert encoding.second == len(first) + 2


@given(examples(), st.sampled_from(["marked_pair", "pair", "single"]))
def test_a_normalised_text_is_read_as_if_it_had_been_written_so(tiny_tokenizer, item, style):
    steps = ("entities", "nfkc")
    spec = InputSpec(style, 40, normalise=steps)
    normal = normalise(item.text, steps)
    start, end = normal.to_normal(item.start, item.end)
    (read,) = TextEncoder(tiny_tokenizer, spec).encode([item])
    (plain,) = encoder_of(tiny_tokenizer, style, 40).encode([Example(normal.text, start, end)])
    assert read.ids.tolist() == plain.ids.tolist()


def test_normalising_leaves_the_examples_offsets_alone(tiny_tokenizer):
    spec = InputSpec("pair", 24, normalise=("entities", "nfkc"))
    assert InputSpec.from_json(spec.to_json()) == spec
    (encoding,) = TextEncoder(tiny_tokenizer, spec).encode([Example("＆amp;好&#x662F;ＡＢ", 5, 14)])
    assert shown(tiny_tokenizer, encoding.ids).endswith("[SEP]好是[SEP]")


@pytest.mark.parametrize("style", ["marked_pair", "single", "sentence_pair"])
def test_all_that_is_tokenised_is_among_the_texts_read(tiny_tokenizer, style):
    items = [Example("香ＴＥＳＴ好best口红", 1, 5, second="差test"), Example("best口红", 4, 6, second="口")]
    task = Task("t", ("a", "b"), style, window_chars=2 if style == "marked_pair" else None)
    covered = {i for text in texts_read(items, task, ("nfkc",)) for i in ids_of(tiny_tokenizer, text)}
    encoder = TextEncoder(tiny_tokenizer, InputSpec(style, 40, task.window_chars, normalise=("nfkc",)))
    used = {int(i) for encoding in encoder.encode(items) for i in encoding.ids}
    assert used - encoder.special_ids <= covered


def test_spec_refuses_what_cannot_be():
    with pytest.raises(RecipeError, match="max_tokens = 7"):
        InputSpec("marked_pair", 7)
    for style in ("pair", "single"):
        with pytest.raises(RecipeError, match=r"encode.pooling = 'cls'"):
            InputSpec(style, 8, pooling="entity_start")


def test_spec_of_a_task_reads_the_mark_where_there_is_one():
    read = {
        style: InputSpec.for_task(Task("t", ("a", "b"), style, window_chars=9), 64, token_types=False)
        for style in ("marked_pair", "pair", "single")
    }
    assert [spec.pooling for spec in read.values()] == ["entity_start", "cls", "cls"]
    assert all(
        (spec.window_chars, spec.max_tokens, spec.token_types) == (9, 64, False) for spec in read.values()
    )
    assert InputSpec.from_json(read["pair"].to_json()) == read["pair"]
    asked = InputSpec.for_task(Task("t", ("a", "b")), 64, token_types=True, pooling="cls")
    assert asked.pooling == "cls"


def test_special_tokens_of_either_family_are_found():
    vocab = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "_", "好"])}
    encoder = encoder_of(Tokenizer(models.WordLevel(vocab, "<unk>")), "single")
    assert encoder.pad == 1
    assert encoder.encode([Example("好", 0, 0)])[0].ids.tolist() == [0, 5, 2]
    with pytest.raises(RecipeError, match=r"\[CLS\], <s>"):
        encoder_of(Tokenizer(models.WordLevel({"[UNK]": 0}, "[UNK]")))


@given(st.lists(examples(), min_size=1, max_size=6), st.sampled_from(["cls", "entity_start"]), st.booleans())
def test_model_inputs_pad_and_place(tiny_tokenizer, items, pooling, fixed):
    encoder = encoder_of(tiny_tokenizer, "marked_pair", 24, pooling=pooling)
    encodings = encoder.encode(items)
    length = 24 if fixed else None
    inputs = model_inputs(encodings, encoder.pad, encoder.spec, length)
    width = 24 if fixed else max(len(e.ids) for e in encodings)
    expected = {"input_ids", "attention_mask", "token_type_ids"} | (
        {"position_ids"} if pooling == "entity_start" else set()
    )
    assert set(inputs) == expected
    assert all(a.shape == (len(items), width) and a.dtype == np.int64 for a in inputs.values())
    for row, (ids, second, read) in enumerate(encodings):
        size = len(ids)
        assert inputs["input_ids"][row].tolist() == [*ids.tolist(), *[encoder.pad] * (width - size)]
        assert inputs["attention_mask"][row].tolist() == [1] * size + [0] * (width - size)
        types = [0] * second + [1] * (size - second) + [0] * (width - size)
        assert inputs["token_type_ids"][row].tolist() == types
        if pooling == "entity_start":
            positions = inputs["position_ids"][row].tolist()
            assert sorted(positions) == list(range(width))
            assert positions[0] == read
            # Read in the order of their positions, the ids are the unmoved ones.
            there = np.argsort(positions)[:size]
            assert inputs["input_ids"][row][there].tolist() == in_reading_order(encodings[row])


def test_model_inputs_leave_token_types_out_where_the_encoder_has_none(tiny_tokenizer):
    encoder = TextEncoder(tiny_tokenizer, InputSpec("pair", 24, token_types=False))
    encodings = encoder.encode([Example("好口红", 1, 3)])
    assert set(model_inputs(encodings, encoder.pad, encoder.spec)) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "albert", "ernie"])
def test_moving_the_mark_changes_no_hidden_state(make_model, make_checkpoint, make_examples, kind):
    import torch

    from attar.models.checkpoint import batch_to

    model = make_model(kind, "Model")
    items = make_examples(12)
    moved, unmoved = (make_checkpoint(kind, pooling=pooling) for pooling in ("entity_start", "cls"))
    with torch.inference_mode():
        states = [model(**batch_to(c, c.encoder.encode(items))).last_hidden_state for c in (moved, unmoved)]
    for row, encoding in enumerate(moved.encoder.encode(items)):
        read, size = encoding.first_position, len(encoding.ids)
        assert read > 0
        order = [read, *range(read), *range(read + 1, size)]
        torch.testing.assert_close(states[0][row, :size], states[1][row, order], rtol=0, atol=1e-5)
        assert (states[1][row, 0] - states[1][row, read]).abs().max() > 0.01
