from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from attar.errors import ArtifactError
from attar.export.calibrate import activation_ranges
from attar.export.graph import ActivationRange, Quantisation, build_graph, linear_inputs, symmetric_int8
from attar.models.checkpoint import batch_to
from attar.scoring.session import OnnxModel

ARCHITECTURES = ("bert", "roberta", "ernie", "electra", "albert")


def _model(proto, token_types):
    return OnnxModel(proto.SerializeToString(), pad=0, token_types=token_types)


def _fp32(checkpoint):
    types = checkpoint.encoder.spec.token_types
    return build_graph(checkpoint.model, max_positions=24, token_types=types, quantisation=None), types


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("length", [None, 24])
def test_fp32_graph_answers_as_transformers_does(checkpoint, examples, kind, length):
    made = checkpoint(kind)
    proto, types = _fp32(made)
    encodings = made.encoder.encode(examples[:12])
    with torch.inference_mode():
        wanted = made.model(**batch_to(made, encodings, length=length)).logits.numpy()
    found = _model(proto, types).logits(encodings, length)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_int8_graph_is_close_and_exact_under_padding(checkpoint, examples, kind):
    made = checkpoint(kind)
    proto, types = _fp32(made)
    encodings = made.encoder.encode(examples)
    ranges = activation_ranges(proto, encodings, pad=0, token_types=types)
    quantised = build_graph(
        made.model, max_positions=24, token_types=types, quantisation=Quantisation(ranges)
    )
    fp32, int8 = _model(proto, types).logits(encodings), _model(quantised, types)
    together = int8.logits(encodings)
    assert np.linalg.norm(together - fp32) < 0.2 * np.linalg.norm(fp32)
    assert len(quantised.SerializeToString()) < 0.6 * len(proto.SerializeToString())
    for row, encoding in enumerate(encodings[:40]):
        assert int8.logits([encoding]).tobytes() == together[row : row + 1].tobytes()
        assert int8.logits([encoding], 24).tobytes() == together[row : row + 1].tobytes()


def test_token_types_matter_and_are_an_input_only_where_used(checkpoint, examples):
    made = checkpoint("bert")
    with_types, _ = _fp32(made)
    without = build_graph(made.model, max_positions=24, token_types=False, quantisation=None)
    assert [i.name for i in with_types.graph.input] == ["input_ids", "attention_mask", "token_type_ids"]
    assert [i.name for i in without.graph.input] == ["input_ids", "attention_mask"]
    encodings = made.encoder.encode(examples[:5])
    assert np.abs(_model(with_types, True).logits(encodings) - _model(without, False).logits(encodings)).max() > 1e-3


def test_shared_layers_are_written_once(checkpoint):
    shared, separate = (_fp32(checkpoint(kind))[0] for kind in ("albert", "electra"))
    names = [constant.name for constant in shared.graph.initializer]
    assert len(names) == len(set(names))
    assert sum("inner.weight" in name for name in names) == 1
    assert sum("inner.weight" in constant.name for constant in separate.graph.initializer) == 2
    assert len(linear_inputs(shared)) == len(linear_inputs(separate)) == 14


def test_position_table_is_cut(checkpoint):
    proto, _ = _fp32(checkpoint("bert"))
    (table,) = [c for c in proto.graph.initializer if c.name == "positions"]
    assert list(table.dims) == [24, 32]
    onnx.checker.check_model(proto, full_check=True)


def test_what_cannot_be_exported_says_so(checkpoint, classifier):
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    other = DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=30, dim=8, n_layers=1, n_heads=2, hidden_dim=16)
    )
    options = {"token_types": False, "quantisation": None}
    with pytest.raises(ArtifactError, match="DistilBert.*supported are Bert"):
        build_graph(other, max_positions=8, **options)
    with pytest.raises(ArtifactError, match="41.*40 positions"):
        build_graph(classifier("bert"), max_positions=41, **options)
    with pytest.raises(ArtifactError, match="one segment"):
        build_graph(classifier("roberta"), max_positions=8, token_types=True, quantisation=None)
    strange = classifier("bert")
    strange.config.hidden_act = "silu"
    with pytest.raises(ArtifactError, match="silu"):
        build_graph(strange, max_positions=8, **options)


def test_ranges_put_zero_on_the_grid():
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        step, zero = ActivationRange(low, high).scale_and_zero()
        assert step > 0
        assert (0 - float(zero)) * step <= low + step
        assert (255 - float(zero)) * step >= high - step


def test_symmetric_int8_is_within_half_a_step():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 5)).astype(np.float32)
    values[:, 2] = 0
    table, steps = symmetric_int8(values, axis=0)
    assert table.dtype == np.int8
    assert steps.shape == (1, 5)
    assert (np.abs(table * steps - values) <= steps / 2 + 1e-7).all()
    assert np.abs(table).max() == 127
