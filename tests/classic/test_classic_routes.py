"""The original's routes, called as a client of the original calls them."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.artifact import load_artifact
from attar.classic.routes import ClassicModels, classic_router, create_classic_app, model_of
from attar.classic.rows import ClassicModel
from attar.errors import CheckpointError, DataError, RecipeError
from attar.scoring.predictor import Predictor
from attar.serving.app import create_app
from attar.serving.limits import CLASSIC_LIMITS, Limits
from attar.serving.service import VERSION_HEADER
from attar.task import Example

TEXT = "口红好，香味不好，口红差。"
HANG_S = 600  # a test that waits longer hangs; none is about speed
LONG = "肤色很好，" * 12 + "口红太差了，" + "香味很好。" * 12
PREDICT = ("predict", "predict_truncate", "predict_truncate_model", "predict_macbert", "predict_albert")
TRAIN = ("train", "train_truncate")


def post(client, route, rows):
    return client.post(f"/api/{route}", json={"data": rows})


def answers(client, route, rows):
    reply = post(client, route, rows)
    assert reply.status_code == 200, reply.text
    return reply.json()


def refusal(reply):
    found = reply.json()
    assert set(found) == {"code", "message"}
    return reply.status_code, found["code"], found["message"]


def constant(index, version):
    """A model that always gives one label."""
    row = np.eye(3, dtype=np.float32)[index]
    return ClassicModel(
        lambda examples: np.tile(row, (len(examples), 1)), lambda e: (0, len(e.text)), version
    )


class Trainer:
    """Keeps what it was given, and may be held up."""

    def __init__(self):
        self.calls = []
        self.error = None
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()

    def __call__(self, train, dev):
        self.started.set()
        assert self.go.wait(HANG_S)
        if self.error:
            raise self.error
        self.calls.append((train, dev))


@pytest.fixture
def trainer():
    return Trainer()


@pytest.fixture
def client(predictor, trainer):
    models = ClassicModels(
        predictor.task,
        model_of(predictor),
        newest=lambda: constant(1, "newest") if trainer.calls else None,
        named={"macbert": lambda: constant(2, "macbert"), "albert": lambda: constant(0, "albert")},
        train=trainer,
    )
    with TestClient(create_app(predictor, routes=lambda service: classic_router(models, service))) as made:
        yield made


def test_predict_labels_each_row(client, predictor):
    rows = [[TEXT, "香味"], [TEXT, "口红"], ["😀口红", "口红"]]
    wanted = predictor.predict([row[0] for row in rows], [row[1] for row in rows])
    found = answers(client, "predict", rows)
    assert [(label, row) for label, _, row in found] == [
        (one.label, row) for one, row in zip(wanted, rows, strict=True)
    ]
    assert [prob for _, prob, _ in found] == pytest.approx([one.prob for one in wanted], abs=1e-9)


def test_predict_truncate_takes_every_shape_of_row(client, predictor):
    rows = [
        [TEXT, "口红"],
        [TEXT, "口红", 9, 11],
        [TEXT, "香味", 4, 6, "积极"],
        [TEXT, "香味", 4, 6, None, "京东", "属性"],
    ]
    found = answers(client, "predict_truncate", rows)
    assert [places for *_, places in found] == [[0, 2], [9, 11], [9, 11], [4, 6], [4, 6]]
    wanted = predictor.predict(
        [TEXT] * 5, [keyword for _, _, (_, keyword), _ in found], [tuple(o[3]) for o in found]
    )
    assert [(label, prob) for label, prob, *_ in found] == [(one.label, one.prob) for one in wanted]
    # All of the text fits, so nothing is cut; the keyword is marked as the model reads it.
    assert found[0][2] == ["_口红_好，香味不好，口红差。", "口红"]
    assert found[1][2] == ["口红好，香味不好，_口红_差。", "口红"]


def test_the_cut_text_is_the_clauses_around_the_keyword(client):
    ((_, _, (cut, keyword), (start, end)),) = answers(client, "predict_truncate", [[LONG, "口红"]])
    assert (keyword, LONG[start:end]) == ("口红", "口红")
    assert cut.count("_口红_") == 1
    assert cut.replace("_", "") in LONG
    assert len(cut) + len(keyword) + 3 <= 48
    left, right = cut.split("_口红_")
    assert left.startswith("肤色很好，")
    assert right.endswith(("，", "。"))


def test_a_cut_text_gets_the_same_label_again(client):
    ((label, prob, cut_row, _),) = answers(client, "predict_truncate", [[LONG, "口红"]])
    assert answers(client, "predict", [cut_row]) == [[label, prob, cut_row]]


def test_a_keyword_that_does_not_occur(client, predictor):
    # Where every occurrence is asked for there is none to answer, as in the original.
    assert answers(client, "predict_truncate", [[TEXT, "粉底"]]) == []
    assert len(answers(client, "predict_truncate", [[TEXT, "粉底"], [TEXT, "香味"]])) == 1
    # The plain route never looked for it.
    (_, (label, prob, row)) = answers(client, "predict", [[TEXT, "香味"], [TEXT, "粉底"]])
    probs = predictor.predict_probs([Example(TEXT, 0, 0, second="粉底")])[0]
    assert (label, row) == (predictor.task.labels[probs.argmax()], [TEXT, "粉底"])
    assert prob == pytest.approx(probs.max(), abs=1e-6)


BAD = [5, None, [TEXT], [TEXT, 5], ["", "香味"], [TEXT, "香味", 1], ["\ud83d好", "好"]]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_row_keeps_its_place_and_gets_a_reason(fuzzed, bad):
    client = fuzzed
    rows = [[f"{TEXT}{number}", "香味"] for number in range(1000)]
    whole = answers(client, "predict", rows)
    rows[417] = bad
    reply = client.post("/api/predict", content=json.dumps({"data": rows}))
    found = reply.json()
    assert (reply.status_code, len(found)) == (200, 1000)
    label, prob, row, reason = found.pop(417)
    assert (label, prob, row) == (None, None, bad)
    assert reason
    assert "香味" not in reason
    assert found == whole[:417] + whole[418:]


def test_a_bad_row_of_the_other_routes(client, caplog):
    rows = [[TEXT, "香味", 4, 6], [TEXT, "香味", 3, 5], [TEXT, "", 1, 2], "x", [TEXT, "口红", 9, 11]]
    first, second, third, fourth, fifth = answers(client, "predict_truncate", rows)
    assert (first[3], fifth[3]) == ([4, 6], [9, 11])
    assert second[:4] == [None, None, [TEXT, "香味"], [3, 5]]
    assert second[4].startswith("text[start:end] is not the keyword")
    assert third == [None, None, [TEXT, ""], [1, 2], "text and keyword must not be empty"]
    assert fourth[:4] == [None, None, [None, None], [None, None]]
    rows = [[TEXT, "香味", "好"], [TEXT, "香味", "很好"], [TEXT, "香味", 4, 7, "好"], [TEXT, "香味"]]
    with caplog.at_level(logging.INFO):
        found = answers(client, "predict_macbert", rows)
    assert [one[0] for one in found] == ["好", None, None, None]
    assert found[1][2:] == [rows[1], "its label is none of 坏, 中, 好"]
    assert found[2][2:4] == [[TEXT, "香味"], [4, 7]]
    assert found[3][2] == rows[3]
    assert "predict_macbert: accuracy 1.0000 of 1 rows" in caplog.messages
    assert "predict_macbert: 3 of 4 rows cannot be used; the reply says why" in caplog.messages
    assert "香味" not in caplog.text


def test_training_skips_bad_rows(client, trainer, caplog):
    rows = [[TEXT, "香味", "好"]] * 10 + [[TEXT, "香味", 1], [TEXT, "粉底", "坏"]]
    assert answers(client, "train", rows) == "Done"
    train, dev = trainer.calls[0]
    assert len(train) + len(dev) == 11
    assert (dev[-1].second, dev[-1].label) == ("粉底", "坏")  # not looked for, as in the original
    assert "train: 1 of 12 rows are not used: its label is none of 坏, 中, 好" in caplog.messages


def test_a_keyword_is_no_regular_expression(client):
    assert [at for *_, at in answers(client, "predict_truncate", [["好.好(", "."], ["好.好(", "("]])] == [
        [1, 2],
        [3, 4],
    ]


def test_no_rows_no_predictions(client):
    for route in ("predict", "predict_truncate", "predict_macbert", "predict_albert"):
        assert answers(client, route, []) == []


def test_the_newest_checkpoint_predicts_once_there_is_one(client, predictor):
    before = answers(client, "predict_truncate", [[TEXT, "香味"]])
    assert refusal(post(client, "predict_truncate_model", [[TEXT, "香味"]]))[:2] == (404, "no_such_model")
    assert answers(client, "train", [[TEXT, "香味", "好"]] * 10) == "Done"
    reply = post(client, "predict_truncate_model", [[TEXT, "香味"], [TEXT, "口红", 9, 11, "好"]])
    assert [label for label, *_ in reply.json()] == ["中", "中"]
    assert reply.headers[VERSION_HEADER] == "newest"
    # The served model stays.
    again = post(client, "predict_truncate", [[TEXT, "香味"]])
    assert again.json() == before
    assert again.headers[VERSION_HEADER] == predictor.artifact.version


@pytest.mark.parametrize(("name", "label", "accuracy"), [("macbert", "好", 0.75), ("albert", "坏", 0.25)])
def test_named_models_predict_labelled_rows_and_log_their_accuracy(client, caplog, name, label, accuracy):
    caplog.set_level(logging.INFO)
    rows = [
        [TEXT, "口红", "好"],
        [TEXT, "口红", 9, 11, "好"],
        [TEXT, "香味", 4, 6, "-1", "京东", "属性"],
        [TEXT, "香味", 4, 6, "好"],
    ]
    found = answers(client, f"predict_{name}", rows)
    assert found[0] == [label, 1.0, rows[0]]
    assert [one[0] for one in found] == [label] * 4
    assert [one[3] for one in found[1:]] == [[9, 11], [4, 6], [4, 6]]
    assert f"predict_{name}: accuracy {accuracy:.4f} of 4 rows" in caplog.messages


def test_training_splits_ninety_to_ten_in_order(client, trainer):
    texts = [f"口红{number}好口红" for number in range(25)]
    assert answers(client, "train", [[text, "口红", "-1"] for text in texts]) == "Done"
    train, dev = trainer.calls[0]
    assert [one.text for one in (*train, *dev)] == texts
    assert (len(train), len(dev)) == (22, 3)
    assert {(one.start, one.end, one.second, one.label) for one in train} == {(0, 0, "口红", "坏")}
    rows = [[text, "口红", len(text) - 2, len(text), "好"] for text in texts]
    rows[3] += ["京东", "属性"]
    assert answers(client, "train_truncate", rows) == "Done"
    assert {one.label for one in trainer.calls[1][0]} == {"好"}
    assert all(one.end == len(one.text) for one in trainer.calls[1][1])


def test_one_training_at_a_time_while_serving(client, trainer):
    rows = [[TEXT, "香味", "好"]] * 4
    trainer.go.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, "train", rows)
        assert trainer.started.wait(HANG_S)
        assert refusal(post(client, "train", rows))[:2] == (409, "training_busy")
        assert post(client, "predict", [[TEXT, "香味"]]).status_code == 200
        trainer.go.set()
        assert first.result(HANG_S).json() == "Done"
    assert answers(client, "train", rows) == "Done"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DataError("these rows have one label only"), 400, "invalid_data"),
        (CheckpointError("/models/x is gone"), 503, "model_unavailable"),
        (KeyError(TEXT), 500, "internal"),
        (SystemExit(2), 500, "internal"),
    ],
)
def test_a_failed_training_is_an_error_response(client, trainer, caplog, error, status, code):
    trainer.error = error
    rows = [[TEXT, "香味", "好"]] * 4
    found = refusal(post(client, "train", rows))
    assert found[:2] == (status, code)
    assert ("one label only" in found[2]) == (status == 400)
    assert "/models/x" not in found[2]
    assert TEXT not in caplog.text
    trainer.error = None
    assert answers(client, "train", rows) == "Done"


def test_what_an_artifact_alone_cannot_do(predictor):
    models = ClassicModels(predictor.task, model_of(predictor))
    with TestClient(create_classic_app(models, limits=CLASSIC_LIMITS)) as client:
        assert client.get("/ready").status_code == 200
        assert len(answers(client, "predict", [[TEXT, "香味"]])) == 1
        labelled = [[TEXT, "香味", "好"]] * 2
        assert refusal(post(client, "predict_albert", labelled))[:2] == (404, "no_such_model")
        assert refusal(post(client, "predict_truncate_model", [[TEXT, "香味"]]))[:2] == (404, "no_such_model")
        assert refusal(post(client, "train", labelled))[:2] == (404, "no_training")
        assert client.post("/v1/score", json={"rows": []}).status_code == 404


def test_the_routes_need_a_task_with_a_keyword(single_folder):
    single = Predictor(load_artifact(single_folder), workers=1)
    with pytest.raises(RecipeError, match="'whole' has none"):
        ClassicModels(single.task, model_of(single))
    single.close()


WRONG = [
    ("predict", None, "expected an object"),
    ("predict", {"a": 1}, "expected an object"),
    ("predict", "text", "expected an object"),
    ("train", [[TEXT, "香味", "好"]], "1 of 1 rows can be used, training needs at least 2"),
    ("train", [], "0 of 0 rows can be used, training needs at least 2"),
    (
        "train",
        [[TEXT, "香味", 4, 6, "好"]],
        "0 of 1 rows can be used, training needs at least 2; data[0]: expec",
    ),
    (
        "train_truncate",
        [[TEXT, "香味", "好"]],
        "0 of 1 rows can be used, training needs at least 2; data[0]: ",
    ),
]


@pytest.mark.parametrize(("route", "rows", "reason"), WRONG, ids=range(len(WRONG)))
def test_a_bad_list_of_rows_is_a_400(client, route, rows, reason):
    status, _, message = refusal(post(client, route, rows))
    assert status == 400
    assert message.startswith(reason)
    assert "香味" not in message


UNUSABLE = [
    ("predict", TEXT, "expected [text, keyword], got str"),
    ("predict", [TEXT], "expected [text, keyword], got a list of 1"),
    ("predict", [TEXT, "香味", 4, 6], "expected [text, keyword], got a list of 4"),
    ("predict", [TEXT, 5], "text and keyword must be strings"),
    ("predict", [None, "a"], "text and keyword must be strings"),
    ("predict", ["", "a"], "text and keyword must not be empty"),
    ("predict_truncate", [TEXT, ""], "text and keyword must not be empty"),
    ("predict_truncate", [TEXT, "香味", "好"], "expected [text, keyword] or [text, key"),
    ("predict_truncate", [TEXT, "香味", "4", 6], "start and end must be whole numbers"),
    ("predict_truncate", [TEXT, "香味", 4, True], "start and end must be whole numbers"),
    ("predict_truncate", [TEXT, "香味", 4.0, 6], "start and end must be whole numbers"),
    ("predict_truncate", [TEXT, "香味", 3, 5], "text[start:end] is not the keyword"),
    ("predict_truncate", [TEXT, "香味", -9, -7, "好"], "text[start:end] is not the keyword"),
    ("predict_macbert", [TEXT, "香味"], "expected [text, keyword, label] or "),
    ("predict_macbert", [TEXT, "香味", "很好"], "its label is none of 坏, 中, 好"),
    ("predict_albert", [TEXT, "香味", 4, 6, None], "its label is none of 坏, 中, 好"),
]


@pytest.mark.parametrize(("route", "row", "reason"), UNUSABLE, ids=range(len(UNUSABLE)))
def test_a_row_that_cannot_be_used_gets_a_reason(client, route, row, reason):
    ((label, prob, *_, said),) = answers(client, route, [row])
    assert (label, prob) == (None, None)
    assert said.startswith(reason)
    assert "香味" not in said


def test_limits_and_key_hold_for_these_routes_too(predictor):
    models = ClassicModels(predictor.task, model_of(predictor))
    limits = Limits(max_rows=2, max_chars=10, max_mentions=5)
    app = create_classic_app(models, limits=limits, api_key="key")
    with TestClient(app, headers={"Authorization": "Bearer key"}) as client:
        assert len(answers(client, "predict_truncate", [["好好好好好", "好"]])) == 5
        assert refusal(post(client, "predict_truncate", [["好好好", "好"]] * 2))[:2] == (
            422,
            "too_many_mentions",
        )
        assert refusal(post(client, "predict", [["好", "好"]] * 3))[:2] == (422, "too_many_rows")
        assert answers(client, "predict", [["好" * 11, "好"]])[0][3] == "11 characters; a text may have 10"
        client.headers.clear()
        assert refusal(post(client, "predict", [["好", "好"]]))[:2] == (401, "unauthorized")


VALUE = st.none() | st.booleans() | st.integers(-2, 14) | st.floats() | st.sampled_from(["口红", "好", ""])
ROWS = st.lists(
    st.tuples(st.text("口红好_😀\ud800", max_size=8), st.sampled_from(["口红", "好", "_", ""])).flatmap(
        lambda head: st.lists(VALUE, max_size=6).map(lambda rest: [*head, *rest])
    )
    | st.lists(VALUE | st.lists(VALUE, max_size=2), max_size=8),
    max_size=3,
)
ANYTHING = st.recursive(
    VALUE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)


@settings(max_examples=250)
@given(st.sampled_from([*PREDICT, *TRAIN]), ROWS.map(lambda rows: {"data": rows}) | ANYTHING)
def test_any_json_is_handled(fuzzed, route, value):
    reply = fuzzed.post(f"/api/{route}", content=json.dumps(value).encode())
    assert reply.status_code in (200, 400), reply.text
    if reply.status_code == 200 and route == "predict":
        assert [row for _, _, row, *_ in reply.json()] == value["data"]


@pytest.fixture(scope="module")
def fuzzed(predictor):
    models = ClassicModels(
        predictor.task,
        model_of(predictor),
        newest=lambda: constant(1, "newest"),
        named={"macbert": lambda: constant(2, "macbert"), "albert": lambda: constant(0, "albert")},
        train=lambda _train, _dev: None,
    )
    with TestClient(create_classic_app(models, limits=CLASSIC_LIMITS)) as made:
        yield made
