"""evaluate(): what it writes, what it refuses, and what the page says."""

import html.parser
import json
import re
from dataclasses import replace

import numpy as np
import openpyxl
import pytest

from attar.cli.tables import print_summary
from attar.errors import DataError
from attar.evaluation.page import confident_mistakes, tradeoff_points
from attar.evaluation.report import Candidate, evaluate
from attar.recipe.load import EvaluateRecipe
from attar.task import BUILT_IN_TASKS, Example

pytestmark = pytest.mark.usefixtures("moments")

TASK = BUILT_IN_TASKS["cosmetics"]
QUICK = EvaluateRecipe(bootstrap=50, speed_examples=8, speed_repeats=1)
EXAMPLES = [
    Example(
        f"<b>第{i}次</b>买，遮瑕{'好差平'[i % 3]}",
        len(f"<b>第{i}次</b>买，"),
        len(f"<b>第{i}次</b>买，遮瑕"),
        TASK.labels[i * i % 3],
        {"channel": "Weibo" if i < 10 else "JD & <co>", "wordtype": "aspect"} if i else {},
    )
    for i in range(60)
]
GOLD = np.array([TASK.index_of(example) for example in EXAMPLES])
INDEX = {example.text: i for i, example in enumerate(EXAMPLES)}


def candidate(name, wrong, size=None, timed=None):
    """Wrong on the first ``wrong`` examples, with falling confidence."""
    answers = np.where(np.arange(60) < wrong, (GOLD + 1) % 3, GOLD)
    probs = np.full((60, 3), 0.05, np.float32)
    probs[np.arange(60), answers] = np.linspace(0.99, 0.7, 60)
    return Candidate(name, lambda some: probs[[INDEX[e.text] for e in some]], size, timed, f"the {name} <i>")


ALL = (
    candidate("teacher", 2, 160, list),
    candidate("student", 2, 40),
    candidate("student_int8", 3, 10, list),
    candidate("finetuned", 8, 10),
    candidate("tfidf", 20, 5),
    candidate("majority", 40, 0),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory, moments):  # noqa: ARG001
    out = tmp_path_factory.mktemp("report")
    report = evaluate(ALL, EXAMPLES, TASK, QUICK, title="A <title>", out=out)
    return report, out


def test_report_json_is_what_is_returned(written):
    report, out = written
    assert json.loads((out / "report.json").read_text("utf-8")) == json.loads(json.dumps(report))
    assert sorted(path.name for path in out.iterdir()) == [
        "answers.xlsx", "answers.zh.xlsx", "report.html", "report.json", "report.zh.html",
    ]  # fmt: skip


def test_report_holds_what_it_promises(written):
    report, _ = written
    assert (report["task"], report["num_test"]) == ("cosmetics", 60)
    assert report["versions"]["numpy"] == np.__version__
    assert report["agreement"] == pytest.approx(59 / 60)
    assert report["ratios"]["smaller"] == 16
    assert report["ratios"]["faster"] > 0
    assert list(report["models"]) == [c.name for c in ALL]
    small = report["models"]["student_int8"]
    assert small["accuracy"] == pytest.approx(57 / 60)
    assert small["accuracy_low"] <= small["accuracy"] <= small["accuracy_high"]
    assert small["macro_f1_low"] <= small["macro_f1"] <= small["macro_f1_high"]
    assert small["latency_ms_p50"] <= small["latency_ms_p99"]
    assert small["size_bytes"] == 10
    assert small["channels"]["JD & <co>"] == {"num_test": 50, "accuracy": 1.0, "macro_f1": 1.0}
    assert small["channels"]["Weibo"]["num_test"] == 9
    assert report["models"]["tfidf"]["examples_per_second"] is None
    assert report["models"]["tfidf"]["latency_ms_p50"] is None
    gap = report["paired_differences"]["tfidf"]
    assert gap["value"] == pytest.approx(small["macro_f1"] - report["models"]["tfidf"]["macro_f1"])
    assert gap["low"] > 0


class _Page(html.parser.HTMLParser):
    """Collects what a browser would fetch, and whether tags close."""

    void = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self):
        super().__init__()
        self.fetched, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        places = [v for k, v in attrs if k in ("src", "href", "xlink:href") and not v.startswith("#")]
        self.fetched += places if tag != "a" else []
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs): ...

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_fetches_nothing(written):
    page = (written[1] / "report.html").read_text("utf-8")
    parser = _Page()
    parser.feed(page)
    assert parser.fetched == []
    assert parser.open == []
    assert not re.search(r"@import|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_escapes_what_it_shows(written):
    page = (written[1] / "report.html").read_text("utf-8")
    assert "<b>第" not in page
    assert "A <title>" not in page
    assert "JD & <co>" not in page
    assert "the teacher <i>" not in page
    assert "&lt;b&gt;第1次&lt;/b&gt;买，<mark>遮瑕</mark>" in page


def test_the_page_says_what_the_figures_say(written):
    parser = _Page()
    parser.feed((written[1] / "report.html").read_text("utf-8"))
    text = "".join(parser.text)
    assert "of the teacher's macro-F1" in text
    assert "16 times smaller" in text
    assert "beats the linear model" in text
    assert "消极" in text


def test_the_page_is_in_chinese_too(written):
    parser = _Page()
    page = (written[1] / "report.zh.html").read_text("utf-8")
    parser.feed(page)
    text = "".join(parser.text)
    assert '<html lang="zh-CN">' in page
    assert parser.fetched == []
    assert "保住了教师模型宏平均 F1 的" in text
    assert "体积仅为 1/16" in text
    assert "优于线性模型" in text
    assert "answers.zh.xlsx" in text
    # What is left in English is a name: of a model, a measure, a program.
    shown = re.sub(r"(?s)<(style|script)>.*?</\1>", "", page)
    words = set(re.findall(r"\b[a-z]{4,}\b", re.sub(r"<[^>]*>", " ", html.unescape(shown))))
    words -= {word for candidate in ALL for word in re.findall(r"[a-z]+", candidate.description)}
    assert not words & {"label", "mistakes", "interval", "reviews", "beats", "allowed", "points", "predicted"}


@pytest.mark.parametrize(
    "names", [("tfidf",), ("teacher",), ("teacher", "tfidf"), ("student_int8",), ("student_int8", "teacher")]
)
def test_any_subset_will_do(names, tmp_path):
    chosen = [c for c in ALL if c.name in names]
    report = evaluate(chosen, EXAMPLES, TASK, QUICK, title="t", out=tmp_path / "new")
    both = {"teacher", "student_int8"} <= set(names)
    assert (report["agreement"] is not None) == both
    assert (report["ratios"]["smaller"] is not None) == both
    assert (report["ratios"]["faster"] is not None) == both
    assert (tmp_path / "new" / "report.html").stat().st_size > 5000


def test_the_same_seed_gives_the_same_scores(written, tmp_path):
    again = evaluate(ALL, EXAMPLES, TASK, QUICK, title="t", out=tmp_path)
    for name, model in written[0]["models"].items():
        assert again["models"][name]["macro_f1_low"] == model["macro_f1_low"]


def broken(probs):
    return [Candidate("student_int8", lambda _: probs)]


@pytest.mark.parametrize(
    ("candidates", "examples", "message"),
    [
        ([], EXAMPLES, "one or more candidates"),
        ([ALL[0], ALL[0]], EXAMPLES, "different names"),
        (ALL, [], "no test examples"),
        (ALL, [*EXAMPLES, Example("无标签", 0, 1)], "example 60 has label None"),
        (broken(np.zeros((60, 2))), EXAMPLES, r"shape \[60, 2\]; expected \[60, 3\]"),
        (broken(np.full((60, 3), np.nan)), EXAMPLES, "finite"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_and_leaves_nothing(candidates, examples, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        evaluate(candidates, examples, TASK, QUICK, title="t", out=tmp_path / "out")
    assert "无标签" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_mistakes_come_surest_first_and_keep_the_term():
    text = "很" * 200 + "遮瑕" + "差" * 200
    examples = [
        Example(text, 200, 202, "消极", {"channel": "JD"}),
        Example("持妆一般", 0, 2, "中性"),
        Example("好用", 0, 2, "积极"),
    ]
    probs = np.array([[0.2, 0.2, 0.6], [0.9, 0.05, 0.05], [0, 0, 1]])
    found = confident_mistakes(examples, TASK.labels, probs, None, limit=5)
    assert [(m["term"], m["gold"], m["predicted"]) for m in found] == [
        ("持妆", "中性", "消极"),
        ("遮瑕", "消极", "积极"),
    ]
    assert found[1]["left"] == "…" + "很" * 120
    assert found[1]["right"] == "差" * 120 + "…"
    assert found[1]["channel"] == "JD"
    assert len(confident_mistakes(examples, TASK.labels, probs, probs, limit=1)) == 1


@pytest.mark.parametrize(
    ("precision", "shown"),
    [("int8", "student_int8"), ("fp32", "student_fp32"), ("mixed", "student_mixed"), (None, "student_int8")],
)
def test_an_artifact_is_called_by_its_precision(precision, shown, tmp_path, capsys):
    small = replace(candidate("student_int8", 3, 10, list), precision=precision, description="")
    models = (candidate("teacher", 2, 160, list), small)
    report = evaluate(models, EXAMPLES, TASK, QUICK, title="t", out=tmp_path)
    assert list(report["models"]) == ["teacher", "student_int8"]
    assert report["chosen"] == "student_int8"
    print_summary(tmp_path)
    rows = openpyxl.load_workbook(tmp_path / "answers.xlsx")["summary"].iter_rows(values_only=True)
    points = " ".join(point.label for point in tradeoff_points(report))
    page = (tmp_path / "report.html").read_text("utf-8")
    for said in (page, capsys.readouterr().out, points, " ".join(str(cell) for row in rows for cell in row)):
        assert shown in said
        assert (shown == "student_int8") == ("int8" in said)
