"""Initialises a classifier's head from a linear probe.

A random head sends noisy gradients into a pretrained encoder and distorts its features. So the head is
first fitted to the frozen encoder (linear probing, then fine-tuning: Kumar et al. 2022,
arXiv:2202.10054), in one pass without gradients: the first layer of the head standardises its input,
the second is a logistic regression on that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from attar.errors import RecipeError
from attar.metrics import scores
from attar.models.checkpoint import Checkpoint, batch_to
from attar.models.forward import map_batches
from attar.models.precision import bf16_inference
from attar.task import Example
from attar.text.buckets import sorted_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["init_head"]

_LOG = logging.getLogger(__name__)
_MAX_EXAMPLES = 2000
_STRENGTHS = (0.003, 0.03, 0.3)


def init_head(
    checkpoint: Checkpoint, examples: Sequence[Example], dev: Sequence[Example], weights: NDArray[np.float64]
) -> float:
    """Set the two layers of a classifier's head from a linear probe, in place.

    Args:
        checkpoint: A classifier.
        examples: Labelled; the first 2,000 are used.
        dev: Labelled; they choose the probe's regularisation.
        weights: [C] weights of the classes.

    Returns:
        The probe's macro-F1 on dev; 0 where there is a single label, and the head is unchanged.

    Raises:
        RecipeError: The classifier's head is not two linear layers.
    """
    task, model = checkpoint.task, checkpoint.model
    dense, out, activation = _head(model)
    chosen, gold = examples[:_MAX_EXAMPLES], np.array([task.index_of(e) for e in examples[:_MAX_EXAMPLES]])
    if len(np.unique(gold)) == 1:
        _LOG.warning("all training examples are %r: no linear probe", task.labels[gold[0]])
        return 0.0
    hidden = _first_tokens(checkpoint, chosen)
    mean, spread = hidden.mean(0), hidden.std(0) + 1e-6

    def features(read: NDArray[np.float32]) -> NDArray[np.float32]:
        # Half a standard deviation keeps tanh in its curved part, short of saturation.
        return activation(torch.from_numpy((read - mean) / (2 * spread))).numpy()

    fitted, unseen = features(hidden), features(_first_tokens(checkpoint, dev))
    gold_dev = np.array([task.index_of(example) for example in dev])
    by_class = {c: float(weight) for c, weight in enumerate(weights) if c in gold}
    best, best_score = None, -1.0
    for strength in _STRENGTHS:
        probe = LogisticRegression(C=strength, class_weight=by_class, max_iter=200).fit(fitted, gold)
        probs = np.zeros((len(dev), len(task.labels)))
        probs[:, probe.classes_] = probe.predict_proba(unseen)
        score = scores(task, gold_dev, probs).macro_f1
        if score > best_score:
            best, best_score = probe, score
    assert best is not None
    with torch.no_grad():
        dense.weight.copy_(torch.diag(torch.from_numpy(1 / (2 * spread))))
        dense.bias.copy_(torch.from_numpy(-mean / (2 * spread)))
        coefficients, intercepts = _by_class(best, len(task.labels))
        out.weight.copy_(torch.from_numpy(coefficients))
        out.bias.copy_(torch.from_numpy(intercepts))
    _LOG.info("linear probe for the head: dev macro-F1 %.4f", best_score)
    return best_score


def _by_class(probe: LogisticRegression, num_labels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[C, D] weights and [C] biases; a class without training examples gets a low bias."""
    coefficients, intercepts = probe.coef_, probe.intercept_
    if len(probe.classes_) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weights, biases = np.zeros((num_labels, coefficients.shape[1])), np.full(num_labels, -5.0)
    weights[probe.classes_], biases[probe.classes_] = coefficients, intercepts
    return weights, biases


def _head(model: PreTrainedModel) -> tuple[nn.Linear, nn.Linear, Callable[[torch.Tensor], torch.Tensor]]:
    """The two linear layers of a classifier's head and the activation between them."""
    base, classifier = model.base_model, model.classifier
    pooler = getattr(base, "pooler", None)
    match getattr(pooler, "dense", pooler), classifier:
        case nn.Linear() as dense, nn.Linear() as out:
            return dense, out, torch.tanh
        case _, nn.Module(dense=nn.Linear() as dense, out_proj=nn.Linear() as out):
            between = getattr(classifier, "activation", torch.tanh)
            return dense, out, between
    raise RecipeError(
        f"{type(model).__name__}: its head is not two linear layers, so it cannot start from a linear probe; "
        "set head_init = 'random'"
    )


def _first_tokens(checkpoint: Checkpoint, examples: Sequence[Example]) -> NDArray[np.float32]:
    """[N, D] the hidden state that the classifier's head reads of each example."""
    model = checkpoint.model.eval()
    device = next(model.parameters()).device
    encodings = checkpoint.encoder.encode(examples)
    rows: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(examples)

    def first_tokens(batch: list[int]) -> NDArray[np.float32]:
        inputs = batch_to(checkpoint, [encodings[i] for i in batch], device)
        with bf16_inference(device):
            hidden: torch.Tensor = model.base_model(**inputs).last_hidden_state[:, 0]
        found: NDArray[np.float32] = hidden.float().cpu().numpy()
        return found

    batches = sorted_batches([len(e.ids) for e in encodings], 32)
    for batch, hidden in zip(batches, map_batches(first_tokens, batches, device), strict=True):
        for i, row in zip(batch, hidden, strict=True):
            rows[i] = row
    return np.stack(rows)
