"""Files as people have them, made by a script: each kind of oddity in each format that can hold it.

Of every file it is known what is right. ``attar prepare`` and ``attar score`` both read it: neither
crashes, and no row is lost; it is used, or in rejected.jsonl with its reason.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from written_tables import write_rows

from attar.errors import DataError
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.records.prepared_folder import load_split
from attar.scoring.stage import ScoreOptions, score_file
from attar.task import BUILT_IN_TASKS

Rows = list[dict[str, object]]
TEXT_TABLES = ("csv", "tsv", "jsonl")
TABLES = (*TEXT_TABLES, "xlsx", "parquet")
NUM_ROWS, NUM_ODD = 24, 3
LABELS = ("消极", "中性", "积极")


def plain(count: int = NUM_ROWS) -> Rows:
    """Reviews that are unlike one another, each with its term once."""
    return [
        {
            "id": i,
            "text": f"{chr(0x5000 + 97 * i) * 5}的瓶盖{chr(0x7000 + 89 * i) * 4}",
            "term": "瓶盖",
            "label": LABELS[i % 3],
        }
        for i in range(count)
    ]


@dataclass(frozen=True)
class Kind:
    """What is odd about some rows, and what is right.

    Attributes:
        change: Makes the rows odd, in place.
        formats: Those that can hold it.
        rejected: By ``attar prepare``, by reason.
        unscored: Rows that ``attar score`` rejects, by their number.
        error: What ``attar prepare`` says of the whole file, as a pattern; "" where it is read.
        unreadable: The same of both.
        source: Further keys of the source.
        task: The task.
        encoding: Of a text file.
        num_rows: Before the change.
    """

    change: Callable[[Rows], object]
    formats: Sequence[str] = TABLES
    rejected: Mapping[str, int] = field(default_factory=dict)
    unscored: Sequence[int] = ()
    error: str = ""
    unreadable: str = ""
    source: Mapping[str, object] = field(default_factory=dict)
    task: str = "cosmetics"
    encoding: str = "utf-8"
    num_rows: int = NUM_ROWS


def odd(**cells: object) -> Callable[[Rows], None]:
    """Put cells into the first rows; of a text ``{}`` is what stood there."""

    def change(rows: Rows) -> None:
        for row in rows[:NUM_ODD]:
            row |= {
                k: v.replace("{}", str(row.get(k))) if isinstance(v, str) else v for k, v in cells.items()
            }

    return change


def every(**cells: Callable[[int], object]) -> Callable[[Rows], None]:
    """Put a cell into every row, by its number."""

    def change(rows: Rows) -> None:
        for i, row in enumerate(rows):
            row |= {name: cell(i) for name, cell in cells.items()}

    return change


def repeat(rows: Rows) -> None:
    rows += [{**row, "id": len(rows) + i} for i, row in enumerate(rows[:NUM_ODD])]


def late_offsets(rows: Rows) -> None:
    for row in rows[-2:]:
        row |= {"text": f"瓶盖好，{row['text']}", "start": 0, "end": 2}


# Common characters of each script, none twice, of which a review takes some that no other has.
COMMON = {
    "瓶盖": (
        "我们觉得好用便宜包装快递客服味道颜色皮肤水油质量满意失望喜欢推荐购买价格高低轻重"
        "大小新旧红白黑黄早晚春夏秋冬男女老少妈爸姐妹朋友工作学校家里手脸眼头发面前后左右"
        "上下多少长短开关进出走来去看听说写"
    ),
    "瓶蓋": (
        "我們覺得好用便宜包裝快遞客服味道顏色皮膚水油品質滿意失望喜歡推薦購買價格高低輕重"
        "大小新舊紅白黑黃早晚春夏秋冬男女老少媽爸姐妹朋友工作學校家裡手臉眼頭髮面前後左右"
        "上下多少長短開關進出走來去看聽說寫"
    ),
    "ボトル": (
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらり"
        "るれろわをんがぎぐげござじずぜぞだでどアイウエカキクケコサシスセソタチツテナニヌ"
        "ネノハヒフヘホマミムメモヤユヨラリレロワン"
    ),
    "뚜껑": (
        "이다는에의을가고하지로한사기도서은어리아시자인나대해있라정그수스를게과일부니여전"
        "모보주제들으성장구만동상세우면원안것생적공내연유무비소선미신개경조위당마국용오중"
        "물거재간문진단관심회분실학방야바식민"
    ),
}


def written_in(term: str) -> Callable[[Rows], None]:
    """Reviews of common characters of the script of a term, with labels in English."""

    def text(i: int) -> str:
        return f"{COMMON[term][4 * i : 4 * i + 2]}{term}{COMMON[term][4 * i + 2 : 4 * i + 4]}"

    return every(text=text, term=lambda _: term, label=lambda i: ("negative", "neutral", "positive")[i % 3])


def _as_it_is(_rows: Rows) -> None:
    """Nothing is odd."""


ODD = range(NUM_ODD)
KINDS = {
    "plain": Kind(_as_it_is),
    "line-breaks": Kind(odd(text="头\r\n\r\n{}\n尾")),
    "quotes": Kind(odd(text='"好"{}说"')),
    "term-between-blanks": Kind(odd(term="\u3000{} ")),
    "full-width-term": Kind(odd(text="Ａｂｃ，{}", term="Abc")),
    "entities": Kind(odd(text="H&amp;M的{}", term="H&M")),
    "zero-width-in-term": Kind(odd(term="\u200b瓶\ufeff盖\u200d")),
    "zero-width-in-text": Kind(odd(text="泵\u200b\u2060头好，{}", term="泵头")),
    "soft-hyphen-in-text": Kind(odd(text="泵\u00ad头差，{}", term="泵头")),
    "number-as-term": Kind(every(text=lambda i: f"618第{chr(0x6000 + 71 * i) * 6}天", term=lambda _i: 618)),
    "offsets-as-floats": Kind(every(start=lambda _: 6.0, end=lambda _: 8.0)),
    "offsets-as-text": Kind(every(start=lambda _: "6.0", end=lambda _: " 8 ")),
    "late-offsets": Kind(late_offsets, ("jsonl",), num_rows=130),
    "campaign-days": Kind(every(start=lambda i: f"2026-11-{i + 1:02}", end=lambda _: "2026-12-31")),
    "missing-label": Kind(odd(label=None), rejected={"missing_label": 3}),
    "blank-label": Kind(odd(label="  "), rejected={"missing_label": 3}),
    "unknown-label": Kind(odd(label="还行吧"), rejected={"unknown_label": 3}),
    "english-labels": Kind(every(label=lambda i: ("Negative", "NEUTRAL", "pos")[i % 3])),
    "shop-labels": Kind(every(label=lambda i: ("差评", "中评", "好评")[i % 3])),
    "number-labels": Kind(every(label=lambda i: i % 3 - 1)),
    "float-labels": Kind(every(label=lambda i: f"{i % 3 - 1}.0")),
    "scale-0-1": Kind(every(label=lambda i: i % 2), error="0 .*1 .*scale"),
    "scale-0-1-as-text": Kind(every(label=lambda i: f"{i % 2}.0"), TEXT_TABLES, error="0 .*1 .*scale"),
    "scale-1-5": Kind(every(label=lambda i: i % 5 + 1), error="scale"),
    "booleans": Kind(every(label=lambda i: i % 2 == 0), task="components"),
    "booleans-as-text": Kind(every(label=lambda i: ("TRUE", "false")[i % 2]), TEXT_TABLES, task="components"),
    "empty-text": Kind(odd(text=None), rejected={"empty_text": 3}, unscored=ODD),
    "blank-text": Kind(odd(text=" \u3000"), rejected={"empty_text": 3}, unscored=ODD),
    "empty-term": Kind(odd(term=None), rejected={"empty_term": 3}, unscored=ODD),
    "absent-term": Kind(odd(term="口红"), rejected={"term_not_found": 3}, unscored=ODD),
    "term-twice": Kind(odd(text="瓶盖，{}"), rejected={"term_ambiguous": 3}),
    "wrong-offsets": Kind(every(start=lambda i: 6 if i > 2 else 400, end=lambda i: 8 if i > 2 else 402)),
    "row-twice": Kind(repeat, rejected={"duplicate": 3}),
    "too-long": Kind(odd(text="{}" + "好" * 6000), rejected={"too_long": 3}),
    "huge-other-cell": Kind(odd(page="<p>" * 70_000), ("csv", "tsv", "jsonl", "parquet")),
    "nan-in-other-cell": Kind(odd(stars=float("nan")), ("jsonl", "parquet")),
    "half-emoji": Kind(odd(text="{}\ud83d"), ("jsonl",), {"bad_text": 3}, ODD),
    "half-emoji-in-other-cell": Kind(odd(nick="小\ud83d"), ("jsonl",), {"bad_text": 3}),
    "control-character": Kind(
        odd(text="{}\x02"), ("csv", "tsv", "jsonl", "parquet"), {"control_characters": 3}
    ),
    "list-as-other-cell": Kind(every(tags=lambda _: ["新", None]), ("jsonl", "parquet")),
    "object-as-text": Kind(odd(text={"zh": "瓶盖"}), ("jsonl",), {"bad_row": 3}, ODD),
    "object-as-term": Kind(odd(term={"zh": "瓶盖"}), ("jsonl",), {"bad_row": 3}, ODD),
    "object-as-label": Kind(odd(label={"zh": "积极"}), ("jsonl",), {"bad_row": 3}),
    "large-numbers": Kind(every(hash=lambda i: 2**64 - 1 - i), ("csv", "tsv", "jsonl", "parquet")),
    "decimals": Kind(every(price=lambda _: Decimal("9.90")), ("csv", "tsv", "xlsx", "parquet")),
    "days": Kind(every(day=lambda i: datetime.date(2026, 2, 1 + i)), ("csv", "tsv", "xlsx", "parquet")),
    "times": Kind(every(at=lambda i: datetime.time(8, i)), ("csv", "tsv", "xlsx", "parquet")),
    "spans-of-time": Kind(every(took=lambda i: datetime.timedelta(seconds=i)), ("csv", "tsv", "parquet")),
    "gb18030": Kind(written_in("瓶盖"), TEXT_TABLES, encoding="gb18030"),
    "gbk-said": Kind(written_in("瓶盖"), TEXT_TABLES, source={"encoding": "GBK"}, encoding="gbk"),
    "traditional-gb18030": Kind(written_in("瓶蓋"), TEXT_TABLES, encoding="gb18030"),
    "utf-16": Kind(written_in("瓶盖"), TEXT_TABLES, encoding="utf-16"),
    "big5": Kind(written_in("瓶蓋"), TEXT_TABLES, unreadable="looks like big5", encoding="big5"),
    "shift_jis": Kind(written_in("ボトル"), TEXT_TABLES, unreadable="looks like shift_jis", encoding="cp932"),
    "euc_kr": Kind(written_in("뚜껑"), TEXT_TABLES, unreadable="looks like euc_kr", encoding="euc_kr"),
    "big5-said": Kind(written_in("瓶蓋"), TEXT_TABLES, source={"encoding": "big5"}, encoding="big5"),
    "shift_jis-said": Kind(
        written_in("ボトル"), TEXT_TABLES, source={"encoding": "shift_jis"}, encoding="cp932"
    ),
    "euc_kr-said": Kind(written_in("뚜껑"), TEXT_TABLES, source={"encoding": "euc_kr"}, encoding="euc_kr"),
    "byte-order-mark": Kind(_as_it_is, TEXT_TABLES, encoding="utf-8-sig"),
}
CASES = [(name, file_format) for name, kind in KINDS.items() for file_format in kind.formats]


@pytest.mark.parametrize(("name", "file_format"), CASES)
def test_every_row_of_a_made_file_counts(name, file_format, predictor, tmp_path):
    kind, rows = KINDS[name], plain(KINDS[name].num_rows)
    kind.change(rows)
    path = write_rows(tmp_path / f"labels.{file_format}", rows, encoding=kind.encoding)
    check_prepare(kind, path, rows, tmp_path / "data")
    check_score(kind, path, rows, predictor, tmp_path / "scored.jsonl")


def check_prepare(kind: Kind, path: Path, rows: Rows, out: Path) -> None:
    source = SourceRecipe.model_validate({"path": str(path), **kind.source})
    arguments = ([source], BUILT_IN_TASKS[kind.task], DataRecipe(), 1, out)
    if kind.error or kind.unreadable:
        with pytest.raises(DataError, match=kind.error or kind.unreadable):
            prepare(*arguments)
        return
    manifest = prepare(*arguments)
    reasons = Counter(row["reason"] for row in lines_of(out / "rejected.jsonl"))
    assert reasons == kind.rejected == manifest["reasons"]
    assert manifest["num_examples"] + manifest["num_rejected"] == len(rows)
    examples = [example for name in ("train", "dev", "test") for example in load_split(out, name)]
    assert len(examples) == manifest["num_examples"]


def check_score(kind: Kind, path: Path, rows: Rows, predictor: object, out: Path) -> None:
    options = ScoreOptions(progress=False, in_encoding=kind.source.get("encoding"))
    if kind.unreadable:
        with pytest.raises(DataError, match=kind.unreadable):
            score_file(predictor, path, out, options)
        return
    counts = score_file(predictor, path, out, options)
    assert counts.notes == ([] if kind.encoding.startswith("utf-8") else [_note(path, kind)])
    answered = {int(row["id"]) for row in lines_of(out)}
    refused = [int(line["row"]["id"]) for line in lines_of(out.with_name(f"{out.name}.rejected.jsonl"))]
    assert sorted(refused) == list(kind.unscored)
    assert sorted([*answered, *refused]) == [row["id"] for row in rows]
    assert counts.rows == len(rows)


def _note(path: Path, kind: Kind) -> str:
    name = {"gbk": "gb18030", "cp932": "shift_jis"}.get(kind.encoding, kind.encoding)
    return f"{path}: not UTF-8, read as {name}"


def lines_of(path: Path) -> list[dict]:
    """The rows of a JSONL file as other languages read them, without NaN; none where it is not there."""

    def refuse(word: str) -> object:
        raise AssertionError(f"{word} is no JSON")

    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line, parse_constant=refuse) for line in text.split("\n") if line]
