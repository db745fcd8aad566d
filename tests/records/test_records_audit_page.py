import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from attar.recipe.load import DataRecipe
from attar.records.audit.audit import Accepted, Confirmed, Rejection, audit
from attar.records.audit.page import render_audit
from attar.records.audit.summary import Sample, Summary
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS, Example

TASK = BUILT_IN_TASKS["cosmetics"]
GOOD = Record("香味好，泵坏", "泵", 4, 5, "neg", {"channel": "京东", "wordtype": "属性"}, "a:1")
MANIFEST = {
    "attar": "1.2.3",
    "task": TASK.to_json(),
    "sources": [{"path": "data/<reviews>.csv", "sha256": "0"}],
    "labels": {"train": {"消极": 2, "中性": 0, "积极": 1}, "test": {"消极": 1, "中性": 0, "积极": 0}},
}


def row(**changes):
    return dataclasses.replace(GOOD, **changes)


ROWS = [
    row(annotator="甲"),
    row(annotator="乙", where="a:2"),
    row(text="😀香味好，泵坏，泵", start=6, end=7, where="a:3"),
    row(text="<b>泵</b>", start=3, end=4, label="积极", meta={"channel": "微博"}, where="a:4"),
    *(row(text=f"{i}泵", start=0, end=1, term="瓶<i>", where=f"b:{i}") for i in range(7)),
    row(text="\ufffd泵", start=1, end=2, where="c:1"),
    row(text="泵\ud83d", label="好\udc00", where="c:2"),
    Rejection("bad_row", "found a dict", "c:3", [{"a": 1}]),
]


def summed(rows=ROWS):
    summary = Summary(TASK)
    for outcome in audit(rows, TASK, DataRecipe(), summary.agreement):
        summary.add(outcome)
    return summary


def test_counts():
    assert summed().to_json() == {
        "num_read": 14,
        "num_accepted": 4,
        "num_repaired": 1,
        "num_confirmed": 1,
        "num_rejected": 9,
        "reasons": {"bad_offsets": 7, "bad_row": 1, "bad_text": 1},
        "repairs": {"utf16": 1},
        "labels_as_read": {"neg": 11, "好\\udc00": 1, "积极": 1},
        "labels": {"消极": 3, "中性": 0, "积极": 1},
        "channels": {"京东": {"消极": 3, "中性": 0, "积极": 0}, "微博": {"消极": 0, "中性": 0, "积极": 1}},
        "wordtypes": {"属性": {"消极": 3, "中性": 0, "积极": 0}, "": {"消极": 0, "中性": 0, "积极": 1}},
        "num_texts": 4,
        "num_texts_with_replacement_character": 1,
        "text_chars": {"median": 6, "p95": 9, "max": 9, "histogram": {"0–9": 4}},
        "examples_per_text": {"1": 4},
        "agreement": {
            "num_annotators": 2, "num_spans": 1, "percent": 1.0, "alpha": None, "num_pairs": 1,
            "pairs": [{"annotators": ["乙", "甲"], "num_spans": 1, "percent": 1.0, "kappa": None}],
        },
    }  # fmt: skip


def test_every_row_is_counted_once():
    counts = summed().to_json()
    assert counts["num_read"] == counts["num_accepted"] + counts["num_confirmed"] + counts["num_rejected"]
    assert sum(counts["reasons"].values()) == counts["num_rejected"]
    json.dumps(counts, ensure_ascii=False).encode()


def test_lengths_and_examples_of_texts():
    summary = Summary(TASK)
    for length, terms in ((3, 1), (29, 2), (30, 12), (6000, 1)):
        for start in range(terms):
            example = Example("好" * length, start, start + 1, "积极")
            summary.add(Accepted(example, GOOD))
    counts = summary.to_json()
    assert counts["text_chars"]["median"] == 29
    assert counts["text_chars"]["max"] == counts["text_chars"]["p95"] == 6000
    histogram = counts["text_chars"]["histogram"]
    assert {name: count for name, count in histogram.items() if count} == {
        "0–9": 1, "20–29": 1, "30–49": 1, "5000+": 1,
    }  # fmt: skip
    assert list(histogram)[:3] == ["0–9", "10–19", "20–29"]
    assert counts["examples_per_text"] == {"1": 2, "2": 1, "10+": 1}


def test_what_the_split_gives_back_is_no_longer_accepted():
    summary, other = summed(), summed([r for r in ROWS if getattr(r, "where", "") != "c:1"])
    rejection = Rejection("also_held_out", "it stands in test", "", ["\ufffd泵"])
    summary.withdraw(Example("\ufffd泵", 1, 2, "消极", GOOD.meta), rejection)
    found, expected = summary.to_json(), other.to_json()
    changed = {key for key in found if found[key] != expected[key]}
    assert changed == {"num_read", "num_rejected", "reasons", "labels_as_read"}
    assert found["reasons"]["also_held_out"] == 1
    assert found["num_read"] == found["num_accepted"] + found["num_confirmed"] + found["num_rejected"]


def test_a_column_of_free_text_is_not_kept():
    summary = Summary(TASK)
    for i in range(3000):
        summary.add(Confirmed(row(label=f"{i}" + "长" * 100), ""))
    as_read = summary.to_json()["labels_as_read"]
    assert len(as_read) == 51
    assert max(map(len, as_read)) == 40
    assert sum(as_read.values()) == 3000


def test_samples_are_the_first_five():
    samples = summed().samples
    assert [sample.where for sample in samples["bad_offsets"]] == [f"b:{i}" for i in range(5)]
    assert samples["repair:utf16"] == [Sample("a:3", ROWS[2].text, 5, 6, "6–7 → 5–6")]


def test_a_rejected_row_shows_what_it_claims():
    rows = [row(label="喜欢"), row(term="瓶"), row(term="瓶", start=None, end=None)]
    samples = summed(rows).samples
    assert (samples["unknown_label"][0].claim, samples["unknown_label"][0].start) == ("泵 · 喜欢", 4)
    assert (samples["bad_offsets"][0].claim, samples["bad_offsets"][0].end) == ("瓶 · neg", 0)
    assert (samples["term_not_found"][0].claim, samples["term_not_found"][0].end) == ("瓶 · neg", 0)


def test_rows_that_can_all_be_used():
    summary = summed([GOOD, row(text="泵坏", start=0, end=1)])
    assert "All 2 rows can be used." in read(render_audit(summary.to_json(), summary.samples, MANIFEST))


class Checker(HTMLParser):
    """Tags that are opened are closed, and none runs or fetches anything."""

    VOID = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        assert not {"src", "href", "onclick"} & {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert not {"script", "link", "img", "iframe"} & set(checker.seen)
    assert "url(" not in page
    return re.sub(r"\s+", " ", "".join(checker.text))


def test_the_page():
    summary = summed()
    page = render_audit(summary.to_json(), summary.samples, MANIFEST)
    text = read(page)
    for phrase in (
        "5 of 14 rows can be used. The commonest reason against the others is bad_offsets (7).",
        "4examples, from 4 reviews",
        "data/<reviews>.csv",
        "6–7 → 5–6",
        "Offsets in UTF-16 code units",
        "乙 · 甲",
        "attar 1.2.3",
        "1 holds U+FFFD",
    ):
        assert phrase in text
    assert "😀香味好，<mark>泵</mark>坏" in page
    page.encode()


def test_the_page_of_nothing():
    counts = Summary(TASK).to_json()
    text = read(render_audit(counts, {}, {**MANIFEST, "labels": {}, "sources": []}))
    assert "0 of 0 rows can be used." in text


def test_the_page_of_good_rows_only():
    summary = summed([GOOD])
    text = read(render_audit(summary.to_json(), summary.samples, MANIFEST))
    assert "The only row can be used." in text
    assert "What is repaired" not in text
    assert "How far annotators agree" not in text


@pytest.mark.parametrize("text", ["好" * 500, "\x00\ud83d\n"])
def test_a_sample_can_always_be_shown(text):
    samples = {"too_long": [Sample("a:1", text, 200, 202, "\ud83d")]}
    counts = Summary(TASK).to_json() | {"reasons": {"too_long": 1}}
    page = render_audit(counts, samples, MANIFEST)
    page.encode()
    assert "\x00" not in page
    assert "好" * 100 not in page


def test_every_reason_and_reading_is_explained():
    from typing import get_args

    from attar.records.record import Reason
    from attar.text.repair import How

    counts = Summary(TASK).to_json()
    counts |= {"reasons": dict.fromkeys(get_args(Reason), 1), "repairs": dict.fromkeys(get_args(How), 1)}
    text = read(render_audit(counts, {}, MANIFEST))
    for name in (*get_args(Reason), *get_args(How)):
        assert f" {name}1" in text


def test_a_missing_package_is_named():
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from attar.errors import MissingPackageError\nfrom attar.records.audit.page import render_audit\n"
        "try:\n    render_audit({}, {}, {})\n"
        "except MissingPackageError as error:\n    sys.stdout.write(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'attar[data]'" in done.stdout
