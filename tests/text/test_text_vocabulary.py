"""A pruned vocabulary reads the texts it was pruned for exactly as before."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors

from attar.errors import RecipeError
from attar.text.vocabulary import extend_vocabulary, prune_vocabulary

TEXTS = st.lists(st.text("的一是不好差香贵，。best testabcd019 ☆", max_size=12), max_size=6)


@given(TEXTS, st.integers(0, 30))
def test_texts_tokenise_as_before(tiny_tokenizer, texts, margin):
    smaller, old_ids = prune_vocabulary(tiny_tokenizer, texts, margin)
    for text in texts:
        before, after = tiny_tokenizer.encode(text), smaller.encode(text)
        assert after.tokens == before.tokens
        assert old_ids[after.ids].tolist() == before.ids
        assert after.type_ids == before.type_ids


def test_ids_follow_old_ids(tiny_tokenizer):
    smaller, old_ids = prune_vocabulary(tiny_tokenizer, ["好的，best"], 5)
    assert old_ids.dtype == np.int64
    assert smaller.get_vocab_size() == len(old_ids) < tiny_tokenizer.get_vocab_size()
    for new, old in enumerate(old_ids.tolist()):
        assert smaller.id_to_token(new) == tiny_tokenizer.id_to_token(old)


def test_margin_is_counted_exactly(tiny_tokenizer):
    def kept(margin):
        return prune_vocabulary(tiny_tokenizer, ["好的，best"], margin)[0].get_vocab()

    least = kept(0)
    assert set(least) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "_", "好", "的", "，", "best"}
    for margin in (1, 7, 40):
        assert len(kept(margin)) == len(least) + margin
        assert set(kept(margin)) > set(least)
    # First what spells Latin words, then Chinese punctuation, then common characters.
    assert set(kept(4)) - set(least) == {"a", "##a", "b", "##b"}
    # More than there is keeps every common one, but no rare piece that no text used.
    everything = kept(10_000)
    assert "##test" not in everything
    assert "贵" in everything


def test_the_tokenizer_given_is_not_changed(tiny_tokenizer):
    before = tiny_tokenizer.to_str()
    prune_vocabulary(tiny_tokenizer, ["好"], 3)
    assert tiny_tokenizer.to_str() == before


def test_any_iterable_of_texts_is_read(tiny_tokenizer):
    texts = ["好"] * 5000 + ["贵"]  # more than one chunk, from a generator
    smaller, _ = prune_vocabulary(tiny_tokenizer, (text for text in texts), 0)
    assert "贵" in smaller.get_vocab()


def test_every_post_processor_and_added_token_is_renumbered(make_tokenizer):
    tokens = ("的", "[PAD]", "一", "[UNK]", "[CLS]", "是", "[SEP]", "[MASK]", "_", "好", "红")
    tokenizer = make_tokenizer(tokens)
    ids = {token: i for i, token in enumerate(tokens)}
    special = [("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    for post_processor in (
        processors.BertProcessing(special[1], special[0]),
        processors.RobertaProcessing(special[1], special[0]),
        processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special),
    ):
        tokenizer.post_processor = post_processor
        smaller, old_ids = prune_vocabulary(tokenizer, ["红好"], 0)
        assert len(old_ids) < len(tokens)
        before, after = tokenizer.encode("红好", "好"), smaller.encode("红好", "好")
        assert after.tokens == before.tokens
        assert old_ids[after.ids].tolist() == before.ids
        for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
            assert old_ids[smaller.token_to_id(token)] == ids[token]
        assert smaller.encode("[MASK]好", add_special_tokens=False).tokens == ["[MASK]", "好"]
        # It survives being written and read, as a checkpoint does.
        assert Tokenizer.from_str(smaller.to_str()).encode("红好").ids == smaller.encode("红好").ids


def test_added_words_outside_the_wordpiece_model_keep_their_rows(make_tokenizer):
    tokenizer = make_tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "_", "的", "好", "红"))
    tokenizer.add_tokens(["serum", "spf"])
    smaller, old_ids = prune_vocabulary(tokenizer, ["好spf"], 0)
    before, after = tokenizer.encode("好spf"), smaller.encode("好spf")
    assert after.tokens == before.tokens == ["[CLS]", "好", "spf", "[SEP]"]
    assert old_ids[after.ids].tolist() == before.ids
    assert smaller.get_vocab_size() == len(old_ids)


def test_other_models_are_refused():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "好": 1}, "[UNK]"))
    with pytest.raises(RecipeError, match=r"vocab_margin: only a WordPiece .* WordLevel"):
        prune_vocabulary(tokenizer, ["好"], 0)


def test_without_a_post_processor(make_tokenizer):
    tokenizer = Tokenizer.from_str(
        json.dumps(json.loads(make_tokenizer().to_str()) | {"post_processor": None})
    )
    smaller, _ = prune_vocabulary(tokenizer, ["好"], 0)
    assert smaller.encode("好").tokens == ["好"]


@given(TEXTS)
def test_an_extended_vocabulary_reads_texts_as_the_other_does(tiny_tokenizer, texts):
    smaller, _ = prune_vocabulary(tiny_tokenizer, [], 0)
    extended, before = extend_vocabulary(smaller, tiny_tokenizer, texts, ["##test", "nowhere"])
    assert len(before) == extended.get_vocab_size() - smaller.get_vocab_size()
    assert set(extended.get_vocab()) <= set(tiny_tokenizer.get_vocab())
    assert "##test" in extended.get_vocab()
    for text in texts:
        assert extended.encode(text).tokens == tiny_tokenizer.encode(text).tokens
    for token, token_id in smaller.get_vocab().items():
        assert extended.token_to_id(token) == token_id
