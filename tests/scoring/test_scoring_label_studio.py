import json
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import DataError
from attar.records.readers.label_studio import read_label_studio
from attar.scoring.label_studio import labelling_config, write_tasks

LABELS = ("积极", "中性", "消极")


def row(text="😀香味好，泵坏", term="香味", label="积极", prob=0.9, **more):
    start = text.index(term)
    probs = {f"prob_{name}": 0.1 for name in LABELS}
    places = {"start": start, "end": start + len(term)}
    return {"text": text, "term": term, "label": label, "prob": prob, **places, **probs, **more}


@pytest.fixture
def tasks(tmp_path):
    def write(*rows):
        file = tmp_path / "tasks.json"
        count = write_tasks(file, iter(rows), labels=LABELS, model_version="cosmetics-3")
        written = json.loads(file.read_text("utf-8"))
        assert count == len(written)
        return written

    return write


def test_rows_of_one_text_are_one_task(tasks):
    one, two = tasks(
        row(channel="京东", wordtype="属性"),
        row(term="泵", label="消极", prob=0.6, channel="京东", wordtype="部件"),
        row(text="泵坏", term="泵", label="消极", prob=0.7),
    )
    assert one["data"] == {"text": "😀香味好，泵坏", "channel": "京东"}
    (prediction,) = one["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("cosmetics-3", 0.6)
    assert prediction["result"][0] == {
        "id": "1-3",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 1, "end": 3, "text": "香味", "labels": ["积极"]},
        "score": 0.9,
    }
    assert [region["value"]["text"] for region in prediction["result"]] == ["香味", "泵"]
    assert two["data"] == {"text": "泵坏", "keyword": "泵"}


def test_what_json_cannot_say_and_what_is_empty_is_left_out(tasks):
    (task,) = tasks(row(a=None, b="", c=math.nan, d=math.inf, e=0, f=False, g=["x"]))
    assert task["data"] == {"text": "😀香味好，泵坏", "keyword": "香味", "e": 0, "f": False, "g": ["x"]}


def test_a_span_that_is_listed_twice_is_one_region(tasks):
    (task,) = tasks(row(), row(), row(term="泵"))
    assert [region["id"] for region in task["predictions"][0]["result"]] == ["1-3", "5-6"]


def test_a_term_may_be_called_keyword_or_left_out(tasks):
    called, without = row(), row(text="香味好")
    called["keyword"] = called.pop("term")
    del without["term"]
    one, two = tasks(called, without)
    assert one["data"]["keyword"] == "香味"
    assert two["data"] == {"text": "香味好"}


def test_no_rows_are_no_tasks(tasks):
    assert tasks() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": None}, "row 2: no text"),
        ({"text": ""}, "row 2: no text"),
        ({"label": "很好"}, "row 2: label '很好' is none of the task's"),
        ({"label": None}, "row 2: label None"),
        ({"prob": None}, "row 2: prob must"),
        ({"prob": math.nan}, "row 2: prob must"),
        ({"start": None}, "row 2: start and end .* without terms"),
        ({"start": 0, "end": 0}, "row 2: start and end"),
        ({"end": 99}, "row 2: start and end"),
        ({"start": 0, "end": 2}, "row 2: text.0:2. is not the term"),
    ],
)
def test_a_row_that_cannot_be_shown_ends_it_and_leaves_the_old_file(tasks, tmp_path, change, message):
    tasks(row())
    before = (tmp_path / "tasks.json").read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        tasks(row(), row(text="头香味") | change)
    assert "香味" not in str(caught.value)
    assert (tmp_path / "tasks.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tasks.json"]


@pytest.mark.parametrize("labels", [LABELS, ('a "quoted" <&> label', "b'c"), tuple("abcdefghij")])
def test_the_config_names_what_the_tasks_refer_to(labels):
    view = ET.fromstring(labelling_config(labels))  # noqa: S314 - our own text
    control, text = view.find("Labels"), view.find("Text")
    assert [label.get("value") for label in control.findall("Label")] == list(labels)
    assert (control.get("name"), control.get("toName")) == ("label", "text")
    assert (text.get("name"), text.get("value")) == ("text", "$text")


SPANS = st.lists(
    st.tuples(
        st.text("香味😀\n&<泵", max_size=4),
        st.text("好坏👍", min_size=1, max_size=3),
        st.sampled_from(LABELS),
    ),
    min_size=1,
    max_size=4,
)


@given(SPANS)
def test_what_is_accepted_unchanged_is_read_back_as_the_same_spans(tmp_path_factory, spans):
    folder = tmp_path_factory.mktemp("tasks")
    rows = []
    for left, term, label in spans:
        start, text = len(left), f"{left}{term}。"
        rows.append(
            {"text": text, "term": term, "start": start, "end": start + len(term), "label": label, "prob": 1}
        )
    write_tasks(folder / "tasks.json", rows, labels=LABELS, model_version="m")
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    for task in tasks:
        task["annotations"] = [{"completed_by": 1, "result": task["predictions"][0]["result"]}]
    (folder / "export.json").write_text(json.dumps(tasks), "utf-8")
    read = {(r.text, r.term, r.start, r.end) for r in read_label_studio(folder / "export.json")}
    assert read == {(r["text"], r["term"], r["start"], r["end"]) for r in rows}
