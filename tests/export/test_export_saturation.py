"""int8 weights that no kernel can saturate, and what happens to those that can."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from attar.artifact import load_artifact, write_artifact
from attar.errors import ArtifactError
from attar.export import convert as convert_module
from attar.export.convert import convert
from attar.export.gptq import InverseHessian, gptq
from attar.export.quant_params import ActivationRange, QuantParams, weight_scales
from attar.export.saturation import PAIR_LIMIT, can_saturate, pair_scales
from attar.recipe.load import ExportRecipe
from attar.scoring import verify
from attar.scoring.predictor import Predictor
from attar.scoring.session import OnnxModel
from attar.scoring.verify import compare, first_use_check, kernels_saturate, read_checks
from attar.text.encoding import InputSpec, model_inputs

LENIENT = ExportRecipe(calibration_examples=64, max_flips=1, max_f1_loss=1, qat_epochs=0)


def pairwise_products(values, weights):
    """uint8 [B, K] times int8 [K, N] as vpmaddubsw does it: sums of two in 16 bits, cut off."""
    rows, table = values.astype(np.int64), weights.astype(np.int64)
    if table.shape[0] % 2:
        rows, table = np.pad(rows, ((0, 0), (0, 1))), np.pad(table, ((0, 1), (0, 0)))
    pairs = rows[:, ::2, None] * table[None, ::2] + rows[:, 1::2, None] * table[None, 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(1)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(0, 3))
def test_quantised_weights_give_exact_products_on_every_kernel(seed, width, more):
    rng = np.random.default_rng(seed)
    weights = (rng.standard_t(2, size=(width, 5)) * rng.lognormal(0, 2, (width, 1))).astype(np.float32)
    splits = 1 + rng.integers(0, more + 1, width)
    inputs = rng.normal(size=(20, width))
    params = QuantParams(ActivationRange(-1, 1), weight_scales(weights, splits), splits)
    nearest = params.quantise(weights)
    corrected = gptq(weights, InverseHessian(inputs.T @ inputs), params)
    assert (np.abs(nearest * params.scales - weights) <= 1.6 * splits[:, None] * params.scales).all()
    for values in (
        nearest,
        corrected,
        *(part.values for part in replace(params, precision="w16a8").int8_weights(weights)),
    ):
        spread = values if values.dtype == np.int8 else params.split(values)
        assert not can_saturate(spread)
        for one in (rng.integers(0, 256, (6, len(spread))), np.full((1, len(spread)), 255)):
            np.testing.assert_array_equal(pairwise_products(one, spread), one @ spread.astype(np.int64))


def test_what_can_saturate_is_seen():
    safe = np.array([[127, -128 + 1], [1, -1], [-64, 127], [-64, -127], [100, 3]], np.int8)
    assert not can_saturate(safe)
    for pair in ([100, 29], [-65, -64]):
        values = safe.copy()
        values[2:4, 0] = pair
        assert can_saturate(values)
        ends = np.full((1, 5), 255)
        assert (pairwise_products(ends, values) != ends @ values.astype(np.int64)).any()


def test_scales_are_plain_int8s_where_no_pair_is_too_large():
    weights = np.array([[1.0, 1.0], [0.005, 0.9], [0.5, 0.0]], np.float32)
    np.testing.assert_allclose(pair_scales(weights), [1 / 127, 1.9 / PAIR_LIMIT], rtol=1e-6)


def test_the_probe_is_what_it_says_and_finds_what_this_processor_does():
    graph = onnx.load(verify._PROBE)
    onnx.checker.check_model(graph)
    (node,) = graph.graph.node
    assert (node.op_type, node.domain) == ("MatMulIntegerToFloat", "com.microsoft")
    weights = next(numpy_helper.to_array(c) for c in graph.graph.initializer if c.name == "weights")
    assert can_saturate(weights)
    ends = np.full((4, 8), 255)
    wrong = (pairwise_products(ends, weights) != ends @ weights.astype(np.int64)).any()
    assert wrong  # a kernel that adds pairs in 16 bits cannot pass
    assert kernels_saturate() in (True, False)


@pytest.fixture(scope="module")
def artifact(exported):
    return exported("cls")


@pytest.fixture(scope="module")
def full_range(artifact, tmp_path_factory):
    """An artifact as they were before: each column uses all of int8, and nothing is stored to check."""
    proto = onnx.load(artifact.model_path)
    for constant in proto.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.int8 and constant.name != "words":
            scale = next(
                c for c in proto.graph.initializer if c.name == constant.name.replace(".weight", ".scale")
            )
            steps = numpy_helper.to_array(scale)
            real = values * steps
            wide = np.abs(real).max(0) / 127 * 0.6  # with some values cut off, as a heavier tail has them
            values = np.clip(np.rint(real / wide), -127, 127).astype(np.int8)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
            scale.CopyFrom(numpy_helper.from_array(wide.astype(np.float32), scale.name))
    folder = tmp_path_factory.mktemp("old") / "artifact"
    written = replace(artifact, folder=folder)
    tokenizer = artifact.tokenizer_path.read_text("utf-8")
    write_artifact(written, model=proto.SerializeToString(), tokenizer=tokenizer, checks=None)
    return load_artifact(folder)


def _products(multiply):
    """MatMulIntegerToFloat as a kernel with these integer products computes it."""

    class MatMulIntegerToFloat(OpRun):
        op_domain = "com.microsoft"

        def _run(self, values, weights, step, scale, zero, weight_zero=None, bias=None):
            shape, table = values.shape, weights.astype(np.int64)
            rows = values.reshape(-1, shape[-1])
            shift = 0 if weight_zero is None else int(weight_zero)
            products = multiply(rows, table) if weights.dtype == np.int8 else rows.astype(np.int64) @ table
            # What MLAS subtracts it takes from sums of its own, which do not saturate.
            products = (
                products
                - int(zero) * table.sum(0)
                - shift * (rows.astype(np.int64).sum(1, keepdims=True) - shape[-1] * int(zero))
            )
            out = products.astype(np.float32) * (step * scale)
            out = out.reshape(*shape[:-1], -1) + (0 if bias is None else bias)
            return (out.astype(np.float32),)

    return MatMulIntegerToFloat


def _pass_of(artifact, multiply):
    session = ReferenceEvaluator(onnx.load(artifact.model_path), new_ops=[_products(multiply)])
    spec = InputSpec.from_json(artifact.input)

    def run(encodings, *, high_precision=False):
        return session.run(["logits"], model_inputs(encodings, 0, spec) | {"fine": np.array(high_precision)})[
            0
        ]

    return run


def _exact(rows, table):
    return rows.astype(np.int64) @ table


def test_the_runtime_multiplies_as_numpy_does(artifact, full_range):
    stored = read_checks(artifact)
    assert len(stored.encodings) == 64
    assert compare(_pass_of(artifact, _exact), stored).passed
    spec = InputSpec.from_json(artifact.input)
    assert compare(OnnxModel(artifact.model_path, pad=0, spec=spec).run_pass, stored).passed
    # Of full-range weights the same holds where, and only where, nothing saturates.
    old = OnnxModel(full_range.model_path, pad=0, spec=spec).run_pass
    wanted = _pass_of(full_range, _exact)(stored.encodings[:16])
    difference = np.median(np.abs(old(stored.encodings[:16]) - wanted))
    assert (difference > 1e-3) == kernels_saturate()


def test_a_saturating_kernel_fails_the_check_but_for_safe_weights(artifact, full_range):
    saturating = _pass_of(artifact, pairwise_products)
    stored = read_checks(artifact)
    assert compare(saturating, stored) == compare(_pass_of(artifact, _exact), stored)
    stored = replace(
        stored,
        passes=[
            _pass_of(full_range, _exact)(stored.encodings, high_precision=high) for high in (False, True)
        ],
    )
    assert compare(_pass_of(full_range, _exact), stored).passed
    for count in (None, 4):
        assert not compare(_pass_of(full_range, pairwise_products), stored, count).passed


def test_an_old_artifact_is_used_where_nothing_saturates_and_refused_elsewhere(
    full_range, examples, monkeypatch
):
    monkeypatch.setattr(verify, "kernels_saturate", lambda: False)
    Predictor(full_range, 1).predict_probs(examples[:3])
    monkeypatch.setattr(verify, "kernels_saturate", lambda: True)
    with pytest.raises(ArtifactError, match=r"attar convert .* NEW"):
        Predictor(full_range, 1).predict_probs(examples[:3])


def test_a_converted_artifact_gives_the_old_ones_logits_where_nothing_saturates(
    full_range, examples, tmp_path
):
    new = convert(full_range.folder, tmp_path / "new")
    stored, run = read_checks(load_artifact(tmp_path / "new")), _pass_of(full_range, _exact)
    for high, logits in zip((False, True), stored.passes, strict=True):
        difference = np.abs(run(stored.encodings, high_precision=high) - logits).max(1)
        assert np.median(difference) < 1e-5
    assert compare(_pass_of(new, pairwise_products), stored).passed
    if not kernels_saturate():
        before, after = (Predictor(one, 1).predict_logits(examples) for one in (full_range, new))
        np.testing.assert_array_equal(before, after)
    with pytest.raises(ArtifactError, match="nothing to convert"):
        convert(tmp_path / "new", tmp_path / "newer")
    with pytest.raises(ArtifactError, match="is not empty"):
        convert(full_range.folder, tmp_path / "new")
    assert convert_module._to_uint8(onnx.load(new.model_path)) == 0


def test_damaged_or_missing_checks_are_named(artifact, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(artifact.folder, copy)
    (copy / "checks.json").unlink()
    with pytest.raises(ArtifactError, match=r"checks.json missing"):
        load_artifact(copy)
    (copy / "checks.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"checks.json \(2 bytes\) truncated or changed"):
        load_artifact(copy)
    with pytest.raises(ArtifactError, match=r"checks.json cannot be read"):
        read_checks(replace(artifact, folder=copy))


def test_other_logits_are_refused_at_the_first_use(artifact):
    checks = read_checks(artifact)
    for wrong in (lambda logits: logits + 1, lambda logits: np.full_like(logits, np.nan)):

        def run(encodings, *, high_precision=False, wrong=wrong):
            known = {e.ids.tobytes(): i for i, e in enumerate(checks.encodings)}
            return wrong(checks.passes[int(high_precision)][[known[e.ids.tobytes()] for e in encodings]])

        with pytest.raises(ArtifactError, match=r"gives other logits here .* attar verify"):
            first_use_check(artifact, run)


def test_stored_inputs_are_no_reviews(artifact, examples, checkpoint):
    stored = json.loads((artifact.folder / "checks.json").read_text("utf-8"))["inputs"]
    reviews = {tuple(e.ids.tolist()) for e in checkpoint("bert", "cls").encoder.encode(examples)}
    assert not reviews & {tuple(ids) for ids, _, _ in stored}
    lengths = [len(ids) for ids, _, _ in stored]
    assert lengths == sorted(lengths)
    assert lengths[3] <= 12 < lengths[-1]


def without_vnni():
    """The words before Python's own that give it a processor without VNNI; none where this one has none."""
    if kernels_saturate():
        return []
    if shutil.which("qemu-x86_64") is None:
        pytest.skip("needs qemu-x86_64 (Debian's qemu-user)")
    return ["qemu-x86_64", "-cpu", "Haswell"]


def test_kernels_without_vnni_agree_but_for_full_range_weights(artifact, full_range):
    program = """
import sys, pathlib, numpy as np
from attar.artifact import load_artifact
from attar.scoring.verify import compare, kernels_saturate, read_checks
from attar.scoring.session import OnnxModel
from attar.text.encoding import InputSpec
assert kernels_saturate()
new, old = (load_artifact(pathlib.Path(one)) for one in sys.argv[1:])
stored = read_checks(new)
spec = InputSpec.from_json(new.input)
print(compare(OnnxModel(new.model_path, pad=0, spec=spec).run_pass, stored).passed)
print(OnnxModel(old.model_path, pad=0, spec=spec).run_pass(stored.encodings[:16]).tolist())
"""
    command = [*without_vnni(), sys.executable, "-c", program]
    done = subprocess.run(
        [*command, str(artifact.folder), str(full_range.folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    passed, logits = done.stdout.splitlines()
    assert passed == "True"
    wanted = _pass_of(full_range, pairwise_products)(read_checks(artifact).encodings[:16])
    exact = _pass_of(full_range, _exact)(read_checks(artifact).encodings[:16])
    found = np.array(json.loads(logits))
    assert np.median(np.abs(found - wanted)) < 1e-4 < np.median(np.abs(found - exact))
