"""The exported student as the package carries it: the artifact's files, under a card that says what it is."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import attar
from attar.artifact import load_artifact, publish_artifact
from attar.io.files import file_hash, write_json


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, help="what attar export wrote")
    parser.add_argument("out", type=Path, help="the folder to write")
    given = parser.parse_args()
    made, out = load_artifact(given.artifact), given.out
    # Its scores are those on reviews by the author of its training examples, which say little.
    notes = {"role": "ready", "name": out.name, "attar": attar.__version__}
    ready = publish_artifact(replace(made, notes=notes, scores={}), {}, out)
    card, said = out / "README.md", Path(__file__).with_name("card.md").read_text("utf-8")
    card.write_text(f"{said}\n{card.read_text('utf-8')}", "utf-8")
    ready = replace(ready, files={**ready.files, card.name: file_hash(card)})
    write_json(out / "attar.json", ready.to_json())
    print(f"{out}: {sum(path.stat().st_size for path in out.iterdir()) / 1e6:.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
