"""What a distillation starts from: the original's files, with random weights, and examples to learn.

First step of benchmarks/distill_speed.py; every side reads the same folder. Speed does not depend
on what a teacher has learnt.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peers.traffic import LONGEST, TASK, make_traffic, token_counts, write_examples

from attar.classic.checkpoint import build_classic, save_classic
from attar.classic.files import ClassicFiles
from attar.io.files import write_json

BATCH = 24
NUM_DEV = 24
STUDENT_CONFIG = Path(__file__).resolve().parents[2] / "classic/config/chinese_bert_config_L4t.json"

_SEED = 20
_TEACHER = {
    "model_type": "bert",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}


def make_files(folder: Path, num_examples: int) -> dict[str, float]:
    """Write vocab.txt, config.json, gs0.pkl of the teacher, and train.json and dev.json.

    Args:
        folder: Gets them.
        num_examples: Of train.

    Returns:
        See ``token_counts``.
    """
    # Imports torch and the exporter, which only this step needs.
    from peers.models import full_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = full_tokenizer()
    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=lambda token: vocab[token])
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    write_json(folder / "config.json", _TEACHER | {"vocab_size": len(tokens)})
    torch.manual_seed(_SEED)
    teacher = build_classic(ClassicFiles(folder / "config.json", folder / "vocab.txt"), TASK, LONGEST)
    save_classic(teacher, folder / "gs0.pkl")
    examples = make_traffic(tokenizer, num_examples + NUM_DEV, _SEED)
    write_examples(folder / "train.json", examples[:num_examples])
    write_examples(folder / "dev.json", examples[num_examples:])
    return token_counts(teacher.encoder, examples[:num_examples])


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
