from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from attar.errors import ArtifactError
from attar.export.calibrate import activation_ranges
from attar.export.graph import ActivationRange, Quantisation, build_graph, linear_inputs, symmetric_int8
from attar.models.checkpoint import batch_to
from attar.scoring.session import OnnxModel
from attar.text.encoding import InputSpec

ARCHITECTURES = ("bert", "roberta", "ernie", "electra", "albert")


def _open(proto, spec):
    return OnnxModel(proto.SerializeToString(), pad=0, spec=spec)


def _fp32(checkpoint):
    return build_graph(checkpoint.model, checkpoint.encoder.spec)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("reads", ["cls", "mark"])
@pytest.mark.parametrize("length", [None, 24])
def test_fp32_graph_answers_as_transformers_does(checkpoint, examples, kind, reads, length):
    made = checkpoint(kind, reads)
    encodings = made.encoder.encode(examples[:12])
    with torch.inference_mode():
        wanted = made.model(**batch_to(made, encodings, length=length)).logits.numpy()
    found = _open(_fp32(made), made.encoder.spec).logits(encodings, length)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "reads"), [*((kind, "cls") for kind in ARCHITECTURES), ("bert", "mark"), ("roberta", "mark")]
)
def test_int8_is_close_and_both_are_exact_under_padding(checkpoint, examples, kind, reads):
    made = checkpoint(kind, reads)
    spec, proto = made.encoder.spec, _fp32(made)
    encodings = made.encoder.encode(examples)
    ranges = activation_ranges(proto, encodings, pad=0, spec=spec)
    quantised = build_graph(made.model, spec, Quantisation(ranges))
    fp32, int8 = _open(proto, spec), _open(quantised, spec)
    wanted = fp32.logits(encodings)
    assert np.linalg.norm(int8.logits(encodings) - wanted) < 0.2 * np.linalg.norm(wanted)
    assert len(quantised.SerializeToString()) < 0.6 * len(proto.SerializeToString())
    for model in (fp32, int8):
        together = model.logits(encodings)
        for row, encoding in enumerate(encodings):
            assert model.logits([encoding]).tobytes() == together[row : row + 1].tobytes()
            assert model.logits([encoding], 24).tobytes() == together[row : row + 1].tobytes()


def test_scales_by_row_are_finer_and_exact_under_padding(checkpoint, examples):
    made = checkpoint("ernie")  # its ReLU makes rows of zeros possible
    spec, proto = made.encoder.spec, _fp32(made)
    encodings = made.encoder.encode(examples)
    coarse = {name: ActivationRange(-40.0, 40.0) for name in linear_inputs(proto)}
    wanted = _open(proto, spec).logits(encodings)
    by_row = _open(build_graph(made.model, spec, Quantisation({})), spec)
    together = by_row.logits(encodings)
    fixed = _open(build_graph(made.model, spec, Quantisation(coarse)), spec).logits(encodings)
    assert np.linalg.norm(together - wanted) < 0.5 * np.linalg.norm(fixed - wanted)
    for row, encoding in enumerate(encodings):
        assert by_row.logits([encoding], 24).tobytes() == together[row : row + 1].tobytes()


def test_a_row_of_zeros_has_a_scale(checkpoint, examples):
    made = checkpoint("ernie")
    with torch.no_grad():
        for layer in made.model.base_model.encoder.layer:
            layer.intermediate.dense.bias.fill_(-1e6)
    graph = build_graph(made.model, made.encoder.spec, Quantisation({}))
    assert np.isfinite(_open(graph, made.encoder.spec).logits(made.encoder.encode(examples[:3]))).all()


def test_token_types_matter_and_are_an_input_only_where_used(checkpoint, examples):
    made = checkpoint("bert")
    spec = made.encoder.spec
    with_types = _fp32(made)
    without = build_graph(made.model, replace(spec, token_types=False))
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
    assert len(linear_inputs(shared)) == len(linear_inputs(separate)) == 13


def test_position_table_is_cut(checkpoint):
    proto = _fp32(checkpoint("bert"))
    (table,) = [c for c in proto.graph.initializer if c.name == "positions"]
    assert list(table.dims) == [24, 32]
    onnx.checker.check_model(proto, full_check=True)


def test_what_cannot_be_exported_says_so(classifier):
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    other = DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=30, dim=8, n_layers=1, n_heads=2, hidden_dim=16)
    )
    spec = InputSpec("single", 16, None, token_types=False)
    with pytest.raises(ArtifactError, match=r"DistilBert.*supported are Bert"):
        build_graph(other, spec)
    with pytest.raises(ArtifactError, match=r"41.*40 positions"):
        build_graph(classifier("bert"), replace(spec, max_tokens=41))
    with pytest.raises(ArtifactError, match="one segment"):
        build_graph(classifier("roberta"), replace(spec, token_types=True))
    strange = classifier("bert")
    strange.config.hidden_act = "silu"
    with pytest.raises(ArtifactError, match="silu"):
        build_graph(strange, spec)


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
