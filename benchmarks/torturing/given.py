"""The parts about what users give: workbooks of strangers, and mutated inputs of every kind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from torturing.children import forked_verb, import_verbs
from torturing.fuzzing import TARGETS, fuzz, services
from torturing.parts import Row, Torture
from torturing.tiny import tiny_artifact, tiny_checkpoint
from torturing.workbook_writing import plain_parts, write_parts
from torturing.workbooks import HEAVY, HOSTILE_WORKBOOKS, Hostile

__all__ = ["fuzzed", "verbs_that_read", "workbooks"]

_MORE_BYTES = 6 << 30  # of address space; most of it is only reserved by ONNX Runtime
_MOST_PEAK_BYTES = 2 << 30
_SECONDS = 300
_INPUTS = {True: 50_000, False: 1_000_000}
_GOLD = {"text": "一号，香味很浓，喜欢", "term": "香味", "label": "消极"}


def verbs_that_read(source: Path | str, artifact: Path, gold: Path) -> dict[str, list[str | Path]]:
    """The verbs that read a table, by name; their results go to the working folder."""
    return {
        "prepare": ["prepare", source, "--task", "cosmetics", "--out", "data"],
        "score": ["score", artifact, "--in", source, "--out", "scored.jsonl"],
        "compare": ["compare", source, "--gold", gold, "--out", "compared.xlsx"],
        "terms": ["terms", source, "--out", "terms.csv", "--min-count", "2"],
    }


def workbooks(torture: Torture) -> Iterator[Row]:
    """Each hostile workbook read by each verb that reads tables; in a share, the heaviest by one of them."""
    artifact = tiny_artifact(tiny_checkpoint(), torture.folder / "artifact")
    gold = torture.folder / "gold.jsonl"
    gold.write_text(json.dumps(_GOLD, ensure_ascii=False) + "\n", "utf-8")
    rows = {name: Row(f"hostile workbooks, `attar {name}`") for name in verbs_that_read("", artifact, gold)}
    peak, num_heavy = dict.fromkeys(rows, 0), 0
    place = torture.folder / "place"
    import_verbs()
    good = {"a good one": Hostile(lambda path: write_parts(path, plain_parts()), is_refused=False)}
    for what, hostile in (good | dict(HOSTILE_WORKBOOKS)).items():
        book = torture.folder / "book.xlsx"
        hostile.write(book)
        verbs = verbs_that_read(book, artifact, gold)
        if torture.is_short and what in HEAVY:
            num_heavy += 1
            verbs = dict([list(verbs.items())[num_heavy % len(verbs)]])  # one after the other
        for name, arguments in verbs.items():
            if torture.is_over:
                rows[name].is_cut = True
                continue
            place.mkdir()
            ended = forked_verb(arguments, place, seconds=_SECONDS, more_bytes=_MORE_BYTES)
            wrong = ended.broken
            if hostile.is_refused and ended.code == 0:
                wrong = "was read"
            if what in good and ended.code:
                wrong = f"was refused: {ended.said[-200:]!r}"
            if ended.peak_bytes > _MOST_PEAK_BYTES:
                wrong = f"took {ended.peak_bytes / 1e6:.0f} MB"
            if any(b"root:" in path.read_bytes() for path in place.rglob("*") if path.is_file()):
                wrong = "read a file outside of the workbook"
            outcome = "read as its cells" if ended.code == 0 else "refused in words"
            rows[name].fail(f"{what}: {wrong}") if wrong else rows[name].add(outcome)
            peak[name] = max(peak[name], ended.peak_bytes)
            shutil.rmtree(place)
        book.unlink()
    for name, row in rows.items():
        row.what += f", at most {peak[name] / 1e6:,.0f} MB"
        yield row


def fuzzed(torture: Torture) -> Iterator[Row]:
    """A million mutated inputs, or a share of them; of each target at least a third get past its parser."""
    artifact = tiny_artifact(tiny_checkpoint(), torture.folder / "artifact")
    past = total = 0
    with services(torture.folder / "inputs", artifact) as shared:
        for name, target in TARGETS.items():
            count = round(_INPUTS[torture.is_short] * target.weight / 1000)
            row = fuzz(name, count, torture.seed, shared, lambda: torture.is_over)
            past, total = past + row.outcomes["past the parser"], total + row.count
            yield row
    share = Row(f"fuzz: {past / max(total, 1):.0%} of {total:,} past the parser, at least a third")
    share.add("enough") if 3 * past >= total else share.fail(share.what)
    yield share
