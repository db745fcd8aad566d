"""attar insight from a file to its folder: figures, correction, inert pages, and what it refuses."""

import csv
import json
import re
from datetime import date, timedelta
from html.parser import HTMLParser

import numpy as np
import openpyxl
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError, RecipeError
from attar.insight.dimensions import parse_by
from attar.insight.periods import day_of, next_period, period_of
from attar.insight.scored_rows import ScoredColumns, read_scored
from attar.insight.stage import InsightOptions, make_insight
from attar.io.tables.table_files import open_tables

LABELS = ("消极", "中性", "积极")
CONFUSION = np.array([[0.80, 0.08, 0.12], [0.30, 0.40, 0.30], [0.03, 0.05, 0.92]])
BRANDS = ("花屿", "青澜", '=HYPERLINK("http://x")', "</script><img src=x onerror=f(1)>", "长" * 300, "")
TERMS = ("持妆", "香味", "包装")


def world(num_reviews=500, seed=1):
    """Rows as attar score writes them, with their true labels beside them."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num_reviews):
        brand = BRANDS[rng.choice(len(BRANDS), p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05])]
        day = date(2025, 1, 1) + timedelta(int(rng.integers(0, 180)))
        mood = rng.dirichlet(np.array([0.2, 0.1, 0.7]) * 3)
        text = f"第{number}单：" + "，".join(f"{term}怎么样" for term in TERMS)
        for term in TERMS[: rng.integers(1, 4)]:
            gold = rng.choice(3, p=mood)
            said = rng.choice(3, p=CONFUSION[gold])
            start = text.index(term)
            rows.append(
                {
                    "text": text, "term": term, "brand": brand, "date": "" if number % 50 == 0 else str(day),
                    "start": start, "end": start + 2, "label": LABELS[said], "gold": LABELS[gold],
                    "prob": round(rng.uniform(0.4, 1), 6),
                }
            )  # fmt: skip
    return rows


def write(path, rows, columns=None):
    columns = columns or list(rows[0])
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


SCORED = ("text", "term", "brand", "date", "start", "end", "label", "prob")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An insight that is corrected by checked mentions; its rows and its folder."""
    folder = tmp_path_factory.mktemp("insight")
    rows = world()
    scored = write(folder / "scored.csv", rows, SCORED)
    chosen = np.random.default_rng(5).choice(len(rows), 300, replace=False)
    checked = write(
        folder / "checked.csv", [rows[i] for i in chosen], ("text", "term", "start", "end", "gold")
    )
    options = InsightOptions(labels=checked, language="zh")
    assert make_insight(scored, ["brand", "term", "date:month"], folder / "out", options)
    return rows, scored, folder / "out", options


def test_figures_are_those_of_the_rows_and_the_correction_holds(made):
    rows, _, out, _ = made
    told = json.loads((out / "insight.json").read_text("utf-8"))
    assert told["total"]["mentions"] == len(rows)
    assert told["total"]["reviews"] == 500
    assert told["labels"] == list(LABELS), "from negative to positive"
    assert told["correction"]["num"] == 300
    assert told["num_undated"] == sum(not row["date"] for row in rows)
    truth = {label: np.mean([row["gold"] == label for row in rows]) for label in LABELS}
    for label in LABELS:
        said = np.mean([row["label"] == label for row in rows])
        assert told["total"]["model"][label]["value"] == pytest.approx(said, abs=1e-6)
        corrected = told["total"]["corrected"][label]
        assert corrected["low"] < truth[label] < corrected["high"]
    net = told["total"]["corrected"]["net_sentiment"]
    positive, negative = (told["total"]["corrected"][label]["value"] for label in ("积极", "消极"))
    assert net["value"] == pytest.approx(positive - negative, abs=2e-6)
    assert net["low"] < truth["积极"] - truth["消极"] < net["high"]


def test_every_view_counts_every_row_and_small_cells_are_compared_with_nothing(made):
    rows, _, out, _ = made
    table = pq.read_table(out / "cells.parquet").to_pylist()
    views = {row["view"] for row in table}
    assert views == {
        "", "brand", "term", "date:month", "brand+term", "brand+date:month", "term+date:month",
        "brand+term+date:month",
    }  # fmt: skip
    for view in views:
        cells = [row for row in table if row["view"] == view]
        assert sum(cell["mentions"] for cell in cells) == len(rows)
        assert all(cell["small"] == (cell["mentions"] < 30) for cell in cells)
        assert all(cell["mentions"] == sum(cell[f"count_{label}"] for label in LABELS) for cell in cells)
    small = {cell["brand"] for cell in table if cell["view"] == "brand" and cell["small"]} | {""}
    for each in pq.read_table(out / "comparisons.parquet").to_pylist():
        if each["by"] == "brand" and not each["within"]:
            assert not {each["first"], each["second"]} & small
        assert each["low"] <= each["value"] <= each["high"]
        assert each["p_adjusted"] >= each["p"] * (1 - 1e-9)
        assert each["marked"] == (each["p_adjusted"] <= 0.05)


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.data, self._in_data = [], "", False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag):
        self._in_data = self._in_data and tag != "script"

    def handle_data(self, data):
        self.data += data if self._in_data else ""


def test_the_page_is_whole_and_what_brands_are_called_is_no_markup(made):
    rows, _, out, _ = made
    page = (out / "insight.html").read_text("utf-8")
    found = Elements()
    found.feed(page)
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert "img" not in {tag for tag, _ in found.tags}
    assert not [attrs for _, attrs in found.tags if {"src", "href", "onerror"} & set(attrs)]
    assert "default-src 'none'" in page
    data = json.loads(found.data)
    assert BRANDS[3] in data["values"][0].values(), "shown as it is"
    assert max(map(len, data["values"][0].values())) == 120
    assert sum(row[0 + len(data["views"][1]["dims"])] for row in data["views"][1]["rows"]) == len(rows)
    assert data["corrected"]
    assert data["pool"], "examples"
    texts = {row["text"] for row in rows}
    assert all("".join(example[:3]) in texts for example in data["pool"])


def test_the_workbook_has_charts_filters_and_no_formula(made):
    _, _, out, _ = made
    book = openpyxl.load_workbook(out / "insight.xlsx")
    assert book.sheetnames[:3] == ["概览", "brand", "term"]
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            assert all(cell.data_type != "f" for cell in row)
        assert sheet.page_setup.fitToWidth == 1
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
    brand = book["brand"]
    assert brand.freeze_panes == "A2"
    assert brand.auto_filter.ref
    assert brand["K1"].alignment.wrap_text, "narrow columns, for paper"
    assert brand.column_dimensions["K"].width == 10
    charts = book["概览"]._charts
    assert [type(chart).__name__ for chart in charts] == ["BarChart", "BarChart", "LineChart"]
    months = book["date_month"]
    assert months.cell(months.max_row, 1).value == "（无日期）"
    assert charts[2].series[0].val.numRef.f == f"'date_month'!$G$2:$G${months.max_row - 1}"
    tops = [chart.anchor._from.row for chart in charts]
    assert tops[0] >= book["概览"].max_row, "below the words"
    assert tops == sorted(set(tops))
    assert brand["D2"].number_format == "0.0%"
    assert brand["A2"].value == "花屿"


def test_a_second_call_is_up_to_date_and_another_language_is_not(made):
    _, scored, out, options = made
    by = ["brand", "term", "date:month"]
    assert not make_insight(scored, by, out, options)


def test_without_a_source_everything_says_uncorrected(tmp_path):
    scored = write(tmp_path / "scored.csv", world(60), SCORED)
    make_insight(scored, ["brand"], tmp_path / "out", InsightOptions(language="en"))
    told = json.loads((tmp_path / "out/insight.json").read_text("utf-8"))
    assert told["correction"] is None
    assert "corrected" not in told["total"]
    book = openpyxl.load_workbook(tmp_path / "out/insight.xlsx")
    assert [row[0].value for row in book["overview"].iter_rows()][2] == "uncorrected"
    assert '"status":"uncorrected"' in (tmp_path / "out/insight.html").read_text("utf-8")
    assert "uncorrected" in (tmp_path / "out/values.svg").read_text("utf-8")


def report(path, counts, labels=LABELS):
    model = {"confusion": np.asarray(counts).tolist()}
    path.write_text(
        json.dumps({"labels": labels, "chosen": "student", "models": {"student": model}}), "utf-8"
    )
    return path


def test_a_report_corrects_and_another_mix_is_warned_of(tmp_path):
    rows = world(800)
    scored = write(tmp_path / "scored.csv", rows, SCORED)
    prior = np.array([0.2, 0.1, 0.7])
    same = report(tmp_path / "same.json", np.round(1000 * prior[:, None] * CONFUSION))
    make_insight(scored, ["brand"], tmp_path / "a", InsightOptions(report=same, language="en"))
    told = json.loads((tmp_path / "a/insight.json").read_text("utf-8"))
    assert [each["code"] for each in told["warnings"]] == ["warn_report"]
    truth = np.mean([row["gold"] == "中性" for row in rows])
    assert told["total"]["corrected"]["中性"]["low"] < truth < told["total"]["corrected"]["中性"]["high"]
    other = report(tmp_path / "other.json", np.round(1000 * prior[::-1, None] * CONFUSION))
    make_insight(scored, ["brand"], tmp_path / "b", InsightOptions(report=other, language="en"))
    told = json.loads((tmp_path / "b/insight.json").read_text("utf-8"))
    assert [each["code"] for each in told["warnings"]] == ["warn_report", "warn_report_mix"]
    three = report(tmp_path / "binary.json", np.eye(2), ("是", "否"))
    with pytest.raises(DataError, match="its labels are 是, 否"):
        make_insight(scored, ["brand"], tmp_path / "c", InsightOptions(report=three))
    assert not (tmp_path / "c").exists()


def test_labels_of_another_task_have_shares_and_with_scores_a_net(tmp_path):
    rows = [{"kind": f"k{i % 2}", "label": "是" if i % 3 else "否"} for i in range(90)]
    scored = write(tmp_path / "scored.csv", rows)
    make_insight(scored, ["kind"], tmp_path / "a", InsightOptions(language="en"))
    told = json.loads((tmp_path / "a/insight.json").read_text("utf-8"))
    assert set(told["total"]["model"]) == {"是", "否"}
    assert told["total"]["reviews"] == 90, "without text each row is a review"
    make_insight(
        scored, ["kind"], tmp_path / "b", InsightOptions(scores={"是": 1.0, "否": -1.0}, language="en")
    )
    told = json.loads((tmp_path / "b/insight.json").read_text("utf-8"))
    assert told["total"]["model"]["net_sentiment"]["value"] == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize("num_rows", [1, 3])
def test_a_row_or_three_make_a_page(tmp_path, num_rows):
    rows = [
        {"text": f"香味{i}", "term": "香味", "brand": "花屿", "date": "", "label": "积极"}
        for i in range(num_rows)
    ]
    scored = write(tmp_path / "scored.csv", rows)
    make_insight(scored, ["brand", "term", "date:month"], tmp_path / "out", InsightOptions(language="zh"))
    told = json.loads((tmp_path / "out/insight.json").read_text("utf-8"))
    assert told["total"]["mentions"] == num_rows
    assert told["total"]["model"]["积极"]["low"] < 0.6, "one of one is not certain"
    assert told["comparisons"] == []


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path):
    scored = write(tmp_path / "scored.csv", world(80), SCORED)
    out = tmp_path / "out"
    for by, options, said in [
        (["brnd"], InsightOptions(), "did you mean 'brand'?; name the right one in --by"),
        (["date:decade"], InsightOptions(), "day, week, month, quarter, year"),
        (["brand", "brand"], InsightOptions(), "twice"),
        ([], InsightOptions(), "names no column"),
        (["brand", "term", "date:month", "prob", "start"], InsightOptions(), "at most 4"),
        (["brand"], InsightOptions(labels=scored, report=scored), "give the labels alone"),
        (["brand"], InsightOptions(scores={"积极": 7}), "from -1"),
        (["brand"], InsightOptions(scores={"好": 1}), "no such label"),
        (["brand"], InsightOptions(ScoredColumns(label="text")), "holds no labels"),
        (["brand"], InsightOptions(ScoredColumns(label="sentiment")), "no column 'sentiment'"),
    ]:
        with pytest.raises((DataError, RecipeError), match=re.escape(said)):
            make_insight(scored, by, out, options)
        assert not out.exists()
    other = write(tmp_path / "other.csv", [{"text": "别的", "term": "别", "gold": "积极"}])
    with pytest.raises(DataError, match="none of its 1 texts"):
        make_insight(scored, ["brand"], out, InsightOptions(labels=other))


def test_parquet_and_csv_are_read_alike(tmp_path, made):
    import pyarrow as pa

    _, scored, _, _ = made
    plain = read_scored(scored, ["brand", "date:month"], ScoredColumns())
    rows = [row.values for table in open_tables(scored) for row in table.rows()]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["date"] = [date.fromisoformat(each) if each else None for each in columns["date"]]
    columns["prob"] = [float(each) for each in columns["prob"]]
    pq.write_table(pa.table(columns), tmp_path / "scored.parquet")
    other = read_scored(tmp_path / "scored.parquet", ["brand", "date:month"], ScoredColumns())
    assert plain.values == other.values
    for name in ("codes", "label", "prob", "text", "review", "row"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(other, name))


def test_month_alone_is_that_of_the_date(made):
    _, scored, _, _ = made
    (found,) = parse_by(["month"], open_tables(scored))
    assert (found.name, found.column, found.period) == ("month", "date", "month")


DAY = date(2025, 3, 5)


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2025-03-05", DAY), ("2025/3/5 12:00", DAY), ("2025年3月5日", DAY), ("20250305", DAY), (DAY, DAY),
        ("2025-03", date(2025, 3, 1)), (1741132800, DAY), (1741132800000, DAY), ("5/3/2025", None),
        ("昨天", None),
        ("2025-13-01", None), (None, None), (float("nan"), None), (True, None), ("", None),
    ],
)  # fmt: skip
def test_dates_of_many_kinds(value, day):
    assert day_of(value) == day


def test_periods_follow_each_other():
    day = date(2024, 12, 30)
    for period, name, after in [
        ("day", "2024-12-30", "2024-12-31"), ("week", "2025-W01", "2025-W02"),
        ("month", "2024-12", "2025-01"), ("quarter", "2024-Q4", "2025-Q1"), ("year", "2024", "2025"),
    ]:  # fmt: skip
        assert period_of(day, period) == name
        assert next_period(name, period) == after
