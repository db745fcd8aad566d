"""Terms proposed from reviews: what opinions are said of, and nothing else."""

import csv
import json

import numpy as np
import pytest

from attar.errors import DataError
from attar.terms.discovery import propose_terms
from attar.terms.stage import propose_term_list
from attar.terms.term_list import read_term_list

TERMS = ("遮瑕", "包装盒", "物流速度", "spf值", "泵头")
SAID = ("很好", "不好", "太差了", "非常棒", "还可以", "挺快")
FILLERS = ("昨天收到", "推荐大家", "因为便宜", "所以买了", "我觉得", "希望改进", "老婆在用", "第二次买")


def reviews(count=300):
    rng = np.random.default_rng(3)
    made = []
    for _ in range(count):
        parts = [rng.choice(FILLERS), rng.choice(TERMS) + rng.choice(SAID)]
        if rng.random() < 0.5:
            parts.append(f"这个的{rng.choice(TERMS)}{rng.choice(SAID)}")
        rng.shuffle(parts)
        made.append("，".join(parts) + str(rng.choice(["。", "！！", "～～～"])))
    return made


def test_terms_come_before_everything_else():
    found = propose_terms(reviews())
    assert {each.term for each in found[: len(TERMS)]} == set(TERMS)
    assert all(each.term in each.example.lower() and each.occurrences >= 5 for each in found)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_known_terms_rare_ones_and_a_limit():
    known = {"遮瑕", "spf值"}
    assert {each.term for each in propose_terms(reviews(), known)[:3]} == set(TERMS) - known
    assert len(propose_terms(reviews(), limit=2)) == 2
    assert propose_terms(reviews(), min_count=10_000) == []
    assert propose_terms(reviews(3) * 100) == [], "equal reviews count once"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "txt"])
def test_the_list_is_one_that_can_be_read(tmp_path, ending):
    source, out = tmp_path / f"reviews.{ending}", tmp_path / "terms.csv"
    match ending:
        case "csv":
            with source.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([["评论"], *([text] for text in reviews())])
        case "jsonl":
            lines = [json.dumps({"评论": text}) for text in reviews()]
            source.write_text("\n".join([*lines, '{"评论": ["词"]}', '{"评论": null}']), "utf-8")
        case _:
            source.write_text("\n".join(reviews()), "utf-8")
    written = propose_term_list(source, out, text="评论")
    assert list(read_term_list(out).names) == [each.term for each in written]
    few = tmp_path / "few.csv"
    few.write_text("遮瑕,泵头\n", "utf-8")
    more = propose_term_list(source, tmp_path / "more.csv", text="评论", known=few)
    assert {each.term for each in written} - {each.term for each in more} == {"遮瑕", "泵头"}
    with pytest.raises(DataError, match="no further term occurs 5 times"):
        propose_term_list(source, tmp_path / "rest.csv", text="评论", known=out)


def test_what_cannot_be_read_or_written(tmp_path):
    source = tmp_path / "reviews.txt"
    source.write_text("好\n", "utf-8")
    for out, said in (
        (tmp_path / "terms.xlsx", "no workbook"),
        (tmp_path / "terms.doc", "cannot tell its format"),
        (tmp_path, "cannot tell its format"),
        (tmp_path / "terms.csv", "no term occurs 5 times"),
    ):
        with pytest.raises(DataError, match=said):
            propose_term_list(source, out)
    (tmp_path / "a.csv").write_text("text\n好\n", "utf-8")
    with pytest.raises(DataError, match="is one of the files that are read"):
        propose_term_list(tmp_path / "a.csv", tmp_path / "a.csv")
    with pytest.raises(DataError, match="no column 'review'"):
        propose_term_list(tmp_path / "a.csv", tmp_path / "b.csv", text="review")
