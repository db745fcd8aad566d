"""The only training loop: teacher and student, one process or many.

Each optimiser step takes one global batch of similarly long examples. accelerate handles device,
precision and processes; the objective defines the losses. A step depends only on the seed and the
data, so a killed training resumes from its last state exactly. A batch that is split over accumulation
steps or processes gives the gradient of the whole; only dropout is drawn differently, and a loss that
relates examples sees those of its part alone.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from attar.errors import CheckpointError, RecipeError, RunError
from attar.models.checkpoint import Checkpoint, batch_to
from attar.progress import progress_bar
from attar.recipe.load import FitRecipe
from attar.text.encoding import Encoding
from attar.training.accelerator import make_accelerator, seed_per_rank
from attar.training.fast_cpu import fast_cpu_kernels
from attar.training.metrics_log import MetricsLog
from attar.training.objectives import Objective
from attar.training.optimisers import build_optimiser
from attar.training.plan import StepPlan
from attar.training.room import check_training_room
from attar.training.schedules import schedule_factor
from attar.training.state import TrainingStates, owner_of
from attar.training.token_dropout import drop_tokens
from attar.training.weight_mean import WeightMean

__all__ = ["DevScore", "FitResult", "fit"]

_LOG = logging.getLogger(__name__)
_METRICS_INTERVAL = 10  # steps
_SAVED = ("step", "best", "best_score", "best_step", "best_collapsed", "history")
_COLLAPSE_ADVICE = (
    "Lower learning_rate, set dropout = 0, start the head from a probe (head_init = 'linear_probe'), or "
    "train longer."
)


@dataclass(frozen=True, slots=True)
class DevScore:
    """The model's score on dev after some step.

    Attributes:
        score: The task's metric, a fraction of 1, or minus the loss on held-out text: higher is better,
            and ``keep = "best"`` selects by it.
        detail: Other metrics to log.
        collapsed: Whether the model predicts one label for all of dev, which has several.
    """

    score: float
    detail: dict[str, float] = field(default_factory=dict)
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a training went.

    Attributes:
        best_score: Dev score of the weights that were kept.
        best_step: The optimiser step after which they were scored.
        total_steps: Optimiser steps of the whole training.
        seconds: Wall-clock time of this process, without what ran before a resume.
        history: One dict an evaluation: step, score and the detail.
        collapsed: Whether the weights that were kept predict one label for all of dev.
    """

    best_score: float
    best_step: int
    total_steps: int
    seconds: float
    history: list[dict[str, float]]
    collapsed: bool


def fit(  # noqa: PLR0913 - the loop is one call
    checkpoint: Checkpoint,
    encodings: Sequence[Encoding],
    objective: Objective,
    recipe: FitRecipe,
    *,
    evaluate: Callable[[], DevScore],
    folder: Path,
    seed: int,
    name: str = "fit",
    after_evaluation: Callable[[int, DevScore], None] | None = None,
) -> FitResult:
    """Train a checkpoint's model in place and leave it with the weights that ``recipe.keep`` names.

    Args:
        checkpoint: The model and its input.
        encodings: The training examples, N of them; the objective's rows are indices into it.
        objective: What is minimised.
        recipe: Epochs, batch, optimiser, schedule, precision.
        evaluate: Scores the model on dev.
        folder: Gets metrics.jsonl, TensorBoard events in ``tensorboard/`` and, while the training
            runs, its state in ``state/``.
        seed: Order of the examples and dropout.
        name: Label in the progress bar and the log.
        after_evaluation: Called by the first process after each evaluation, with the number of
            optimiser steps done and the score, while the model has the weights that were scored.
            A resumed training misses no call; those after its last saved state are repeated, with
            the same weights.

    Raises:
        CheckpointError: The state in ``folder`` is another training's.
        RecipeError: No examples.
        RunError: The loss is not finite, or the disk has no room for the states.
    """
    if not encodings:
        raise RecipeError("no training examples")
    return _Fit(checkpoint, encodings, objective, recipe, evaluate, folder, seed).run(name, after_evaluation)


class _Fit:
    """The state of one training."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        encodings: Sequence[Encoding],
        objective: Objective,
        recipe: FitRecipe,
        evaluate: Callable[[], DevScore],
        folder: Path,
        seed: int,
    ) -> None:
        self.checkpoint, self.encodings, self.recipe, self.seed = checkpoint, encodings, recipe, seed
        self.evaluate = evaluate
        self.accelerator = make_accelerator(recipe.precision)
        self.model = checkpoint.model
        self.objective = objective.to(self.accelerator.device)
        labels = None if recipe.sampling == "shuffled" else self.objective.row_labels()
        self.lengths = [len(e.ids) for e in encodings]
        self.plan = StepPlan(self.lengths, recipe, seed, labels)
        self.total_steps = self.plan.total_steps
        torch.manual_seed(seed)
        # With several processes a wrapper around the same parameters.
        self.wrapped = self.accelerator.prepare_model(self.model)
        self.optimiser = self.accelerator.prepare_optimizer(
            build_optimiser(self.model, self.objective, recipe)
        )
        self.states = TrainingStates(folder / "state", owner_of(encodings, self.total_steps, seed))
        self.log = MetricsLog(folder, enabled=self.accelerator.is_main_process)
        self.best: dict[str, torch.Tensor] = {}
        self.best_score, self.best_step, self.best_collapsed = -math.inf, 0, False
        self.history: list[dict[str, float]] = []
        self.warned_of_collapse = False
        self.mean = WeightMean(self.model, self.total_steps) if recipe.keep == "mean" else None
        self.step = 0

    def run(self, name: str, after_evaluation: Callable[[int, DevScore], None] | None) -> FitResult:
        if self.accelerator.is_main_process:
            minutes = self.recipe.checkpoint_minutes
            check_training_room(self.model, self.objective, self.log.folder, checkpoint_minutes=minutes)
        self._resume()
        started = last_saved = time.monotonic()
        with (
            self.log.opened(after_step=self.step),
            progress_bar(name, self.total_steps, self.step, unit="steps") as advance,
            fast_cpu_kernels(self.model),
        ):
            for rows in self.plan.batches_after(self.step):
                losses = self._train_step(rows)
                self.step += 1
                if self.step % _METRICS_INTERVAL == 0 or self.step == self.total_steps:
                    self._write_losses(losses, time.monotonic() - started)
                if self.recipe.log_interval and self.step % self.recipe.log_interval == 0:
                    self._log_losses(name, losses)
                if self.plan.evaluates_after(self.step):
                    dev = self._evaluate(name)
                    # Before the state is saved: a call that a kill cut short is repeated.
                    if after_evaluation is not None and self.accelerator.is_main_process:
                        after_evaluation(self.step, dev)
                if time.monotonic() - last_saved > 60 * self.recipe.checkpoint_minutes:
                    self._save()
                    last_saved = time.monotonic()
                advance(1, f"dev {self.best_score:.4f}" if self.history else "")
        self._take_kept_weights(name)
        self.model.eval()
        if self.best_collapsed:
            _LOG.warning(
                "%s collapsed: its %s weights give every dev example the same label. %s",
                name, self.recipe.keep, _COLLAPSE_ADVICE,
            )  # fmt: skip
        return FitResult(
            self.best_score, self.best_step, self.total_steps, time.monotonic() - started, self.history,
            self.best_collapsed,
        )  # fmt: skip

    def _train_step(self, rows: list[int]) -> dict[str, torch.Tensor]:
        self.wrapped.train()
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        own = rows[rank::world]
        seed_per_rank(rank, self.seed, self.step)
        self.objective.progress = self.step / self.total_steps
        self.objective.batch_lengths = torch.tensor([len(self.encodings[i].ids) for i in rows])
        totals: dict[str, torch.Tensor] = {}
        num_parts = self.recipe.gradient_accumulation_steps
        parts = [own[i::num_parts] for i in range(num_parts)]
        parts = [part for part in parts if part] or [rows[:1]]  # an idle process takes part without weight
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                batch = [self.encodings[i] for i in part]
                inputs = batch_to(self.checkpoint, batch, self.accelerator.device)
                if self.recipe.token_dropout:
                    share, device = self.recipe.token_dropout, self.accelerator.device
                    drop_tokens(inputs, batch, self.checkpoint.encoder, share, device)
                indices = torch.tensor(part, device=self.accelerator.device)
                with self.accelerator.autocast():
                    losses = self.objective(self.wrapped, inputs, indices)
                # Gradients are averaged over the processes: this gives the mean over the global batch.
                share = (world if own else 0) / len(rows)
                loss = torch.stack([value.sum() for value in losses.values()]).sum() * share
                self.accelerator.backward(loss)
            for key, value in losses.items():
                totals[key] = totals.get(key, torch.zeros(())) + value.detach().float().sum().cpu() * share
        self._update(totals)
        if self.mean is not None:
            self.mean.add(self.step + 1)
        return totals

    def _update(self, losses: dict[str, torch.Tensor]) -> None:
        recipe = self.recipe
        options = recipe.schedule_options
        factor = schedule_factor(recipe.schedule, self.step, self.total_steps, recipe.warmup, options)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * factor * group["share"]
        figures = {key: float(value) for key, value in losses.items()}
        if not all(map(math.isfinite, figures.values())):
            raise RunError(
                f"the loss is not finite at step {self.step} ({figures}); "
                "lower learning_rate or set precision = 'fp32'"
            )
        if self.accelerator.num_processes > 1:  # accelerate averages only the model's gradients
            for parameter in self.objective.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
        if recipe.optimiser != "bert_adam":  # which clips by itself
            trained = [*self.model.parameters(), *self.objective.parameters()]
            self.accelerator.clip_grad_norm_(trained, recipe.max_grad_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()

    @property
    def _rate(self) -> float:
        return float(max(group["lr"] for group in self.optimiser.param_groups))

    def _write_losses(self, losses: dict[str, torch.Tensor], seconds: float) -> None:
        figures = {f"loss/{key}": float(value) for key, value in losses.items()}
        self.log.write(self.step, figures | {"learning_rate": self._rate, "seconds": seconds})

    def _log_losses(self, name: str, losses: dict[str, torch.Tensor]) -> None:
        figures = ", ".join(f"{key} loss {float(value):.4f}" for key, value in losses.items())
        _LOG.info("%s: step %d of %d, %s, rate %.3g", name, self.step, self.total_steps, figures, self._rate)

    def _evaluate(self, name: str) -> DevScore:
        dev = self.evaluate()
        entry = {"step": float(self.step), "dev/score": dev.score} | dev.detail
        self.history.append(entry)
        self.log.write(self.step, {k: v for k, v in entry.items() if k != "step"})
        better = dev.score > self.best_score
        first_time = dev.collapsed and not self.warned_of_collapse
        self.warned_of_collapse |= dev.collapsed
        _LOG.log(
            logging.WARNING if first_time else logging.INFO,
            "%s: step %d of %d, dev %.4f%s%s%s", name, self.step, self.total_steps, dev.score,
            " (best)" if better else "", " COLLAPSED to one label" if dev.collapsed else "",
            f". If it stays so: {_COLLAPSE_ADVICE}" if first_time else "",
        )  # fmt: skip
        if better or self.recipe.keep == "last":
            if self.mean is None:
                self.best = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
            self.best_score, self.best_step, self.best_collapsed = dev.score, self.step, dev.collapsed
        return dev

    def _take_kept_weights(self, name: str) -> None:
        """Give the model the weights that are kept; their mean is scored here, as nothing else did."""
        if self.mean is None:
            self.model.load_state_dict(self.best)
            return
        self.mean.load_into_model()
        dev, num_steps = self.evaluate(), self.mean.num_steps
        self.best_score, self.best_step, self.best_collapsed = dev.score, self.step, dev.collapsed
        _LOG.info("%s: mean of the weights of the last %d steps, dev %.4f", name, num_steps, dev.score)

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.states.save(
            self.step,
            {
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
                "rng": torch.get_rng_state(),
                "rng_device": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                **{name: getattr(self, name) for name in _SAVED},
                **({} if self.mean is None else {"mean": self.mean.state_dict()}),
            },
        )

    def _resume(self) -> None:
        state = self.states.latest()
        if state is None:
            return
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            first_line = next(iter(str(error).splitlines()), type(error).__name__)
            raise CheckpointError(
                f"{self.states.folder}: its newest state is that of another training ({first_line[:200]}); "
                "remove the folder to start from the beginning"
            ) from error
        _LOG.info("resuming after step %d of %d", self.step, self.total_steps)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"])
        if torch.cuda.is_available() and state["rng_device"]:
            torch.cuda.set_rng_state_all(state["rng_device"])
        for name in _SAVED:
            setattr(self, name, state[name])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])
