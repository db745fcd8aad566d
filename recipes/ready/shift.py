"""The student with a number added to the logits of one label, which real reviews have more rarely."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from attar.models.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    """Write the shifted checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("student", type=Path, help="what attar distill wrote")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--label", default="中性")
    parser.add_argument("--offset", type=float, required=True)
    given = parser.parse_args()
    found = load_checkpoint(given.student)
    with torch.no_grad():
        found.model.classifier.bias[found.task.labels.index(given.label)] += given.offset
    notes = {**found.notes, "offsets": {given.label: given.offset}}
    save_checkpoint(replace(found, notes=notes), given.out)


if __name__ == "__main__":
    main()
