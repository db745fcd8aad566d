"""The mean of a model's weights over the last part of a training.

The steps of a training that ends with a small learning rate go back and forth around a minimum; the mean of
the weights lies nearer to it than any one of them (stochastic weight averaging: Izmailov et al. 2018,
arXiv:1803.05407, section 3; here after each step and under the recipe's own schedule). It needs no dev split,
so a rare label with a dozen examples there cannot choose a lucky epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["MEAN_SHARE", "WeightMean"]

MEAN_SHARE = 0.25
"""The last part of the steps that the mean is over."""


class WeightMean:
    """The running mean of the weights that a training changes.

    Args:
        model: In training; its layers have no running statistics beside their weights.
        total_steps: Optimiser steps of the whole training.

    Attributes:
        num_steps: How many steps the mean is over so far.
    """

    def __init__(self, model: nn.Module, total_steps: int) -> None:
        self._weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._first = total_steps - max(1, math.ceil(MEAN_SHARE * total_steps)) + 1
        self._mean: dict[str, torch.Tensor] = {}
        self.num_steps = 0

    def add(self, step: int) -> None:
        """Count the weights as they are after ``step`` optimiser steps, if that is one of the last."""
        if step < self._first:
            return
        self.num_steps += 1
        for name, weight in self._weights.items():
            if self.num_steps == 1:
                self._mean[name] = weight.detach().clone()
            else:
                self._mean[name].lerp_(weight.detach(), 1 / self.num_steps)

    def load_into_model(self) -> None:
        """Give the model the mean weights, in place."""
        with torch.no_grad():
            for name, mean in self._mean.items():
                self._weights[name].copy_(mean)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs of it."""
        return {"num_steps": self.num_steps, "mean": self._mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            KeyError: It is of another model, or of a training that keeps no mean.
        """
        mean = state["mean"]
        if mean:
            self._mean = {name: mean[name].to(weight.device) for name, weight in self._weights.items()}
        self.num_steps = int(state["num_steps"])
