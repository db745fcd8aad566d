"""A trained teacher of BERT-base's size, and a student for it, from a run folder.

First step of ``benchmarks/distill_speed.py --to-score``. The cost of a teacher goes by its size, so
the run's own, 12 x 384, is made twice as wide with the same logits: every unit is duplicated, and
what reads it has half the weight for each of the two.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from peers.traffic import token_counts, write_examples
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from attar.errors import AttarError
from attar.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from attar.models.encoders import Encoder
from attar.models.students import build_student
from attar.recipe.load import StudentRecipe
from attar.records.prepared_folder import load_split
from attar.text.encoding import TextEncoder
from attar.text.vocabulary import texts_read

_DROPOUT = 0.1


def make_trained(folder: Path, data: Path, teacher: Path, seed: int) -> dict[str, float]:
    """Write train.json, dev.json and the checkpoints teacher/ and student/.

    The student is the 4x312 one, cut from the teacher's layers; its head is random.

    Args:
        folder: Gets them.
        data: Written by ``attar prepare``.
        teacher: A BERT, trained on these data.
        seed: Of the head.

    Returns:
        See ``token_counts``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    examples = load_split(data, "train")
    write_examples(folder / "train.json", examples)
    write_examples(folder / "dev.json", load_split(data, "dev"))
    trained = load_checkpoint(teacher)
    save_checkpoint(replace(trained, model=doubled(trained.model)), folder / "teacher")
    torch.manual_seed(seed)
    spec = trained.encoder.spec
    student = build_student(
        StudentRecipe(preset="T4-tiny"),
        Encoder(trained.model, trained.encoder.tokenizer, spec.token_types),
        texts_read(examples, trained.task, spec.normalise),
        num_labels=len(trained.task.labels),
        dropout=_DROPOUT,
    )
    encoder = TextEncoder(student.tokenizer, spec)
    save_checkpoint(Checkpoint(student.model, encoder, trained.task, {"role": "student"}), folder / "student")
    return token_counts(encoder, examples)


@torch.no_grad()
def doubled(model: PreTrainedModel) -> BertForSequenceClassification:
    """A BERT classifier of twice the width, with twice the heads, that gives the same logits.

    The mean and the variance of a layer norm are those of its halves.

    Raises:
        AttarError: The model is no BERT classifier.
    """
    if not isinstance(model, BertForSequenceClassification):
        raise AttarError(f"the teacher is a {type(model).__name__}; expected a BERT classifier")
    config = model.config.to_dict()
    for name in ("hidden_size", "num_attention_heads", "intermediate_size"):
        config[name] = 2 * config[name]
    wide = BertForSequenceClassification(BertConfig(**config)).eval()
    modules = dict(model.named_modules())
    for name, module in wide.named_modules():
        narrow = modules[name]
        if isinstance(narrow, nn.Linear):
            times = module.out_features // narrow.out_features  # the classifier keeps its labels
            module.weight.copy_(narrow.weight.repeat(times, 2) / 2)
            module.bias.copy_(narrow.bias.repeat(times))
        elif isinstance(narrow, nn.Embedding):
            module.weight.copy_(narrow.weight.repeat(1, 2))
        elif isinstance(narrow, nn.LayerNorm):
            module.weight.copy_(narrow.weight.repeat(2))
            module.bias.copy_(narrow.bias.repeat(2))
    return wide
