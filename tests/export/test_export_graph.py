from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from attar.errors import ArtifactError
from attar.export.graph import build_graph, linear_nodes
from attar.export.observers import Calibration
from attar.export.quantisation import post_training_quantize
from attar.export.weights import linear_modules, read_weights
from attar.models.checkpoint import batch_to
from attar.scoring.session import OnnxModel
from attar.text.encoding import InputSpec

ARCHITECTURES = ("bert", "roberta", "ernie", "electra", "albert")


def _open(proto, spec):
    return OnnxModel(proto.SerializeToString(), pad=0, spec=spec)


def _fp32(checkpoint):
    return build_graph(read_weights(checkpoint.model), checkpoint.encoder.spec)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("pooling", ["cls", "entity_start"])
@pytest.mark.parametrize("length", [None, 24])
def test_the_fp32_graph_agrees_with_transformers(checkpoint, examples, kind, pooling, length):
    made = checkpoint(kind, pooling)
    encodings = made.encoder.encode(examples[:12])
    with torch.inference_mode():
        wanted = made.model(**batch_to(made, encodings, length=length)).logits.numpy()
    found = _open(_fp32(made), made.encoder.spec).logits(encodings, length)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [*((kind, "cls") for kind in ARCHITECTURES), ("bert", "entity_start"), ("roberta", "entity_start")],
)
def test_int8_is_close_and_both_are_exact_under_padding(checkpoint, quantized, examples, kind, pooling):
    made = checkpoint(kind, pooling)
    spec, proto = made.encoder.spec, _fp32(made)
    encodings = made.encoder.encode(examples)
    quantised = quantized(kind, pooling).graph()
    fp32, int8 = _open(proto, spec), _open(quantised, spec)
    wanted = fp32.logits(encodings)
    assert np.linalg.norm(int8.logits(encodings) - wanted) < 0.2 * np.linalg.norm(wanted)
    stored = [sum(len(c.raw_data) for c in model.graph.initializer) for model in (quantised, proto)]
    assert stored[0] < 0.6 * stored[1]
    for model in (fp32, int8):
        together = model.logits(encodings)
        for row, encoding in enumerate(encodings):
            assert model.logits([encoding]).tobytes() == together[row : row + 1].tobytes()
            assert model.logits([encoding], 24).tobytes() == together[row : row + 1].tobytes()


def test_a_dead_ffn_has_a_scale(checkpoint, examples):
    made = checkpoint("ernie")  # its ReLU makes rows of zeros possible
    with torch.no_grad():
        for layer in made.model.base_model.encoder.layer:
            layer.intermediate.dense.bias.fill_(-1e6)
    encodings = made.encoder.encode(examples[:30])
    model = post_training_quantize(read_weights(made.model), Calibration(encodings, 0, made.encoder.spec))
    assert np.isfinite(_open(model.graph(), made.encoder.spec).logits(encodings)).all()


def test_token_types_matter_and_are_an_input_only_where_used(checkpoint, examples):
    made = checkpoint("bert")
    spec = made.encoder.spec
    with_types = _fp32(made)
    without = build_graph(read_weights(made.model), replace(spec, token_types=False))
    assert [i.name for i in with_types.graph.input] == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
        "position_ids",
    ]
    assert [i.name for i in without.graph.input] == ["input_ids", "attention_mask", "position_ids"]
    encodings = made.encoder.encode(examples[:5])
    plain = _open(without, replace(spec, token_types=False)).logits(encodings)
    assert np.abs(_open(with_types, spec).logits(encodings) - plain).max() > 1e-3


def test_shared_layers_are_written_once(checkpoint):
    shared, separate = (_fp32(checkpoint(kind)) for kind in ("albert", "electra"))
    names = [constant.name for constant in shared.graph.initializer]
    assert len(names) == len(set(names))
    assert sum("inner.weight" in name for name in names) == 1
    assert sum("inner.weight" in constant.name for constant in separate.graph.initializer) == 2
    assert len(linear_nodes(shared)) == len(linear_nodes(separate)) == 13
    assert len({node.input[1] for node in linear_nodes(shared).values()}) == 7


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_linear_layer_has_its_module(checkpoint, kind):
    made = checkpoint(kind)
    modules = linear_modules(made.model)
    proto = _fp32(made)
    nodes = linear_nodes(proto)
    assert set(modules) == set(nodes)
    values = {c.name: onnx.numpy_helper.to_array(c) for c in proto.graph.initializer}
    for name, module in modules.items():
        factor = 8**-0.5 if name.endswith("query") else 1.0
        np.testing.assert_allclose(
            values[nodes[name].input[1]], factor * module.weight.detach().numpy().T, rtol=1e-6
        )


def test_position_table_is_cut(checkpoint):
    proto = _fp32(checkpoint("bert"))
    (table,) = [c for c in proto.graph.initializer if c.name == "positions"]
    assert list(table.dims) == [24, 32]
    onnx.checker.check_model(proto, full_check=True)


def test_what_cannot_be_exported_says_so(checkpoint):
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    other = DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=30, dim=8, n_layers=1, n_heads=2, hidden_dim=16)
    )
    spec = InputSpec("single", 16, None, token_types=False)
    with pytest.raises(ArtifactError, match=r"DistilBert.*supported are Bert"):
        read_weights(other)
    with pytest.raises(ArtifactError, match=r"41.*40 positions"):
        build_graph(read_weights(checkpoint("bert").model), replace(spec, max_tokens=41))
    with pytest.raises(ArtifactError, match="one segment"):
        build_graph(read_weights(checkpoint("roberta").model), replace(spec, token_types=True))
    strange = checkpoint("bert").model
    strange.config.hidden_act = "silu"
    with pytest.raises(ArtifactError, match="silu"):
        read_weights(strange)
