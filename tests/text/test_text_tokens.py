"""Tokens: the ids of the tokenizer itself, whatever is looked up, cut off or named like a special token."""

import copy
import pickle
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from attar.task import Example
from attar.text import tokens as module
from attar.text.encoding import InputSpec, TextEncoder
from attar.text.tokens import Tokens
from attar.text.vocabulary import prune_vocabulary

MARKS = "，。！？：；、…“”‘’（）《》【】·～"
TEXTS = st.text(
    st.one_of(
        st.sampled_from("的是好差口红鿿一" + MARKS + string.punctuation),
        st.sampled_from(" \t\n\u3000\u00a0abestXÉ019Ａ１！"),
        st.sampled_from("\u0301\u0338\u3099\u20dd\ufe0f\u200d\u200b\x00\x1c\ufffd😀ßが가ﾞ≠ﬁ㎏﨎"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
NAMES = ("[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]")


def switched(tokenizer):
    """A copy of a tokenizer that reads the names of special tokens as text."""
    made = Tokenizer.from_str(tokenizer.to_str())
    made.encode_special_tokens = True
    return made


def tokenizers_of(tokenizer):
    """The tokenizer with every normalizer that attar meets."""
    nfkc = normalizers.NFKC()
    for made in (
        normalizers.BertNormalizer(),
        normalizers.BertNormalizer(lowercase=False, strip_accents=False),
        normalizers.BertNormalizer(clean_text=False, lowercase=False, strip_accents=True),
        normalizers.Sequence([nfkc, normalizers.BertNormalizer(strip_accents=True, lowercase=True)]),
        normalizers.Sequence([nfkc, normalizers.BertNormalizer(lowercase=False, strip_accents=False)]),
    ):
        variant = switched(tokenizer)
        variant.normalizer = made
        yield variant


@pytest.fixture(scope="module")
def all_tokens(tiny_tokenizer):
    return [(variant, Tokens(variant)) for variant in tokenizers_of(tiny_tokenizer)]


def whole(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


@given(st.lists(TEXTS, max_size=4))
def test_ids_are_those_of_the_tokenizer(all_tokens, texts):
    for tokenizer, tokens in all_tokens:
        assert tokens._by_char is not None
        assert tokens.ids(texts) == [whole(tokenizer, text) for text in texts]


@given(TEXTS, st.integers(1, 9))
def test_a_cut_text_has_the_same_ids_as_far_as_they_were_asked_for(all_tokens, text, count):
    text *= 3
    for tokenizer, tokens in all_tokens:
        ids = whole(tokenizer, text)
        head, tail = tokens.head(text, count), tokens.tail(text, count)
        assert text.startswith(head)
        assert text.endswith(tail)
        assert whole(tokenizer, head)[:count] == ids[:count]
        assert whole(tokenizer, tail)[-count:] == ids[-count:]
        first = len(ids) - len(whole(tokenizer, tail))
        assert whole(tokenizer, tail) == ids[first:]
        assert whole(tokenizer, head) == ids[: len(whole(tokenizer, head))]


def test_every_character_that_stands_alone_is_one_token_between_letters(all_tokens):
    letters = (chr(code) for code in range(0x2000, 0x10000) if not 0xD800 <= code < 0xE000)
    alone = [c for c in (*string.punctuation, *"·“”‘’", *letters) if module._ONE.match(c)]
    assert len(alone) > 0x9FFF - 0x4E00
    for tokenizer, _ in all_tokens:
        table = {c: len(tokenizer.encode(f"x{c}x", add_special_tokens=False).ids) for c in alone}
        assert {c: count for c, count in table.items() if count != 3} == {}


def test_the_cost_of_a_long_text_is_bounded(tiny_tokenizer):
    text = "很好，abc" * 100_000
    tokens = Tokens(switched(tiny_tokenizer))
    assert len(tokens.head(text, 70)) < 300
    assert len(tokens.tail(text, 70)) < 300
    no_place_to_cut = "x" * 10_000
    assert tokens.head(no_place_to_cut, 70) == tokens.tail(no_place_to_cut, 70) == no_place_to_cut
    late = "x" * 5_000 + "好" * 50_000
    assert tokens.head(late, 70) == "x" * 5_000 + "好" * 70
    assert tokens.tail(late[::-1], 70) == late[:5_070][::-1]


@pytest.mark.parametrize("style", ["marked_pair", "pair", "single", "sentence_pair"])
@given(st.data())
def test_an_encoding_of_a_long_text_is_that_of_the_whole(tiny_tokenizer, style, data):
    tokenizer = switched(tiny_tokenizer)
    encoder = TextEncoder(tokenizer, InputSpec(style, 12))
    uncut = TextEncoder(tokenizer, InputSpec(style, 12))
    uncut._tokens = WithoutCuts(tokenizer)
    text = data.draw(TEXTS) * 4
    start = data.draw(st.integers(0, len(text)))
    second = data.draw(TEXTS) * 3 if style == "sentence_pair" else ""
    item = Example(text, start, data.draw(st.integers(start, min(len(text), start + 3))), second=second)
    (found,), (wanted,) = encoder.encode([item]), uncut.encode([item])
    assert found.ids.tolist() == wanted.ids.tolist()
    assert found[1:] == wanted[1:]
    if style.endswith("pair") and not second:
        assert encoder.window(item) == uncut.window(item)


class WithoutCuts(Tokens):
    def head(self, text, _count, begin=0):
        return text[begin:]

    def tail(self, text, _count, end=None):
        return text[:end]


@pytest.mark.parametrize("name", NAMES)
def test_a_special_token_in_a_text_is_text(tiny_tokenizer, name):
    encoder = TextEncoder(tiny_tokenizer, InputSpec("marked_pair", 40, pooling="entity_start"))
    text = f"口红{name}很差{name}"
    for other in (encoder, pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):  # noqa: S301
        (encoding,) = other.encode([Example(text, 0, 2)])
        ids = encoding.ids.tolist()
        assert ids.count(tiny_tokenizer.token_to_id("[SEP]")) == 2
        assert ids.count(tiny_tokenizer.token_to_id("[CLS]")) == 1
        if name != "[UNK]":  # unknown pieces are [UNK] with every right
            in_text = 2 if name == "[SEP]" else int(name == "[CLS]")
            assert ids.count(tiny_tokenizer.token_to_id(name)) == in_text
        assert encoder.window(Example(text, 0, 2)) == (0, len(text))


@given(TEXTS)
def test_the_switch_changes_nothing_else(tiny_tokenizer, text):
    plain = Tokenizer.from_str(tiny_tokenizer.to_str())
    assert not plain.encode_special_tokens
    if not any(name in text for name in NAMES):
        assert whole(plain, text) == Tokens(switched(tiny_tokenizer)).ids([text])[0]


def test_a_pruned_vocabulary_knows_what_a_special_name_is_read_as(make_tokenizer):
    pieces = ["s", "##e", "##p", "[", "]"]
    tokenizer = make_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "_", "好", "坏", *pieces])
    pruned, old_ids = prune_vocabulary(tokenizer, ["好[SEP]"], 0)
    assert not tokenizer.encode_special_tokens
    ids = Tokens(pruned).ids(["好[SEP]"])[0]
    assert [tokenizer.id_to_token(int(old)) for old in old_ids[np.array(ids)]] == [
        "好",
        "[",
        "s",
        "##e",
        "##p",
        "]",
    ]


def test_another_kind_of_tokenizer_reads_whole_texts(tiny_tokenizer):
    def changed(change):
        made = switched(tiny_tokenizer)
        change(made)
        return made

    changes = [
        lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.Whitespace()),
        lambda made: setattr(made, "normalizer", normalizers.NFKC()),
        lambda made: setattr(made, "normalizer", normalizers.BertNormalizer(handle_chinese_chars=False)),
        lambda made: made.enable_truncation(5),
        lambda made: made.add_tokens(["好差"]),
    ]
    text = "好差口红，很好" * 9
    for tokenizer in map(changed, changes):
        tokens = Tokens(tokenizer)
        assert tokens.head(text, 2) == tokens.tail(text, 2) == text
        assert tokens.ids([text]) == [whole(tokenizer, text)]
    assert Tokens(tokenizer).ids([]) == []
