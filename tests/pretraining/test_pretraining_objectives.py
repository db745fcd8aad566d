import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from attar.models.checkpoint import batch_to
from attar.pretraining.objectives import MaskedTokens, TokenKinds, draw_masks


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint):
    return make_checkpoint()


@pytest.fixture(scope="module")
def kinds(checkpoint):
    return TokenKinds(checkpoint.encoder)


@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.9))
def test_special_tokens_are_never_masked_and_words_are_whole(checkpoint, kinds, seed, share):
    torch.manual_seed(seed)
    vocab = checkpoint.encoder.tokenizer.get_vocab()
    ids = torch.randint(len(vocab), (4, 24))
    shown, masked = draw_masks(ids, kinds, share)
    special = torch.tensor([vocab[token] for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "_")])
    assert not (masked & torch.isin(ids, special)).any()
    assert torch.equal(shown[~masked], ids[~masked])
    continuing = kinds.continuing[ids[:, 1:]] & kinds.maskable[ids[:, :-1]] & kinds.maskable[ids[:, 1:]]
    assert torch.equal(masked[:, 1:][continuing], masked[:, :-1][continuing])


def test_shares_of_what_is_masked(checkpoint, kinds):
    torch.manual_seed(3)
    ids = kinds.replacements[torch.randint(len(kinds.replacements), (500, 100))]
    ids[kinds.continuing[ids]] = int(checkpoint.encoder.tokenizer.token_to_id("好"))
    shown, masked = draw_masks(ids, kinds, 0.15)
    assert float(masked.float().mean()) == pytest.approx(0.15, abs=0.005)
    hidden = (shown == kinds.mask_id)[masked].float().mean()
    unchanged = (shown == ids)[masked].float().mean()
    assert float(hidden) == pytest.approx(0.8, abs=0.02)
    # A token drawn to be replaced may be drawn again.
    assert float(unchanged) == pytest.approx(0.1 + 0.1 / len(kinds.replacements), abs=0.02)
    assert not torch.equal(draw_masks(ids, kinds, 0.15).masked, masked), "drawn again"


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "electra-small", "albert", "ernie"])
def test_the_loss_is_that_of_all_logits(make_model, checkpoint, make_examples, kind):
    model = make_model(kind, "ForMaskedLM")
    encodings = checkpoint.encoder.encode(make_examples(6))
    inputs = batch_to(checkpoint, encodings)
    if kind == "roberta":
        del inputs["token_type_ids"], inputs["position_ids"]
    objective = MaskedTokens(checkpoint.encoder, 0.5, 10.0)
    torch.manual_seed(5)
    found = objective(model, inputs, torch.arange(6))["mlm"]
    torch.manual_seed(5)
    ids, masked = draw_masks(inputs["input_ids"], objective.kinds, 0.5)
    logits = model(**inputs | {"input_ids": ids}).logits
    each = F.cross_entropy(logits.transpose(1, 2), inputs["input_ids"], reduction="none")
    assert masked.any()
    assert torch.allclose(found, (each * masked).sum(1) / 5.0, atol=1e-4)
    assert model(**inputs).logits.shape[:2] == ids.shape, "the hook is gone"


def test_nothing_masked_costs_nothing(make_model, checkpoint, make_examples):
    inputs = batch_to(checkpoint, checkpoint.encoder.encode(make_examples(2)))
    objective = MaskedTokens(checkpoint.encoder, 1e-9, 10.0)
    loss = objective(make_model("bert", "ForMaskedLM"), inputs, torch.arange(2))["mlm"]
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
