"""What a distillation starts from; every side of benchmarks/distill_speed.py reads the same folder.

For steps, the original's files with random weights: speed does not depend on what a teacher has learnt.
For ``--to-score``, a trained teacher and a student for it. The cost of a teacher goes by its size, so the
run's own, 12 x 384, is made twice as wide with the same logits: every unit is duplicated, and what reads
it has half the weight for each of the two.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from peers.traffic import LONGEST, TASK, make_traffic, token_counts, write_examples
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from attar.classic.checkpoint import build_classic, save_classic
from attar.classic.files import ClassicFiles
from attar.errors import AttarError
from attar.io.files import write_json
from attar.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from attar.models.encoders import Encoder
from attar.models.students import build_student
from attar.recipe.load import StudentRecipe
from attar.records.prepared_folder import load_split
from attar.text.encoding import TextEncoder
from attar.text.vocabulary import texts_read

BATCH = 24
NUM_DEV = 24
STUDENT_CONFIG = Path(__file__).resolve().parents[2] / "classic/config/chinese_bert_config_L4t.json"

_SEED = 20
_DROPOUT = 0.1


def make_files(folder: Path, num_examples: int) -> dict[str, float]:
    """Write vocab.txt, config.json and gs0.pkl of the teacher, train.json and dev.json; train's tokens."""
    # Imports torch and the exporter, which only this step needs.
    from peers.models import full_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = full_tokenizer()
    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=lambda token: vocab[token])
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    write_json(folder / "config.json", BertConfig(vocab_size=len(tokens)).to_dict())  # BERT-base
    torch.manual_seed(_SEED)
    teacher = build_classic(ClassicFiles(folder / "config.json", folder / "vocab.txt"), TASK, LONGEST)
    save_classic(teacher, folder / "gs0.pkl")
    examples = make_traffic(tokenizer, num_examples + NUM_DEV, _SEED)
    write_examples(folder / "train.json", examples[:num_examples])
    write_examples(folder / "dev.json", examples[num_examples:])
    return token_counts(teacher.encoder, examples[:num_examples])


def make_trained(folder: Path, data: Path, teacher: Path, seed: int) -> dict[str, float]:
    """Write train.json, dev.json and the checkpoints teacher/ and student/; train's tokens.

    The student is the 4x312 one, cut from the layers of the teacher, a BERT trained on these data; its
    head is random.
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


def readme_command(folder: Path, out: Path) -> list[str]:
    """The flags with which the README distils, on these files."""
    return [
        "--vocab_file", f"{folder / 'vocab.txt'}",
        "--data_dir", f"{folder}",
        "--bert_config_file_T", f"{folder / 'config.json'}",
        "--bert_config_file_S", f"{STUDENT_CONFIG}",
        "--tuned_checkpoint_T", f"{folder / 'gs0.pkl'}",
        "--output_dir", f"{out}",
        "--load_model_type", "none",
        "--do_lower_case", "--do_train", "--do_predict",
        "--max_seq_length", f"{LONGEST}",
        "--train_batch_size", f"{BATCH}",
        "--random_seed", "9580",
        "--num_train_epochs", "40",
        "--learning_rate", "10e-5",
        "--ckpt_frequency", "1",
        "--schedule", "slanted_triangular",
        "--s_opt1", "30",
        "--gradient_accumulation_steps", "1",
        "--temperature", "8",
        "--task_name", TASK.name,
        "--output_att_sum", "false",
        "--output_encoded_layers", "true",
        "--output_attention_layers", "false",
        "--matches", "L4t_hidden_mse", "L4_hidden_smmd",
    ]  # fmt: skip
