from __future__ import annotations

import copy

import pytest

from attar.artifact import Artifact
from attar.artifact_card import check_card
from attar.task import task_by_name

SPEC = {"style": "single", "max_tokens": 16, "window_chars": None, "token_types": False}
FILES = dict.fromkeys(("model.onnx", "tokenizer.json", "README.md"), "0" * 64)


@pytest.fixture
def card(tmp_path):
    made = Artifact(tmp_path, task_by_name("components"), SPEC, "int8", files=FILES)
    return copy.deepcopy(made.to_json())


def test_what_is_written_passes(card):
    check_card(card)


def test_an_early_card_passes(card):
    for key in ("layers", "products", "limits", "seal"):
        del card[key]
    card["input"] = {"style": "single", "max_tokens": 16, "token_types": True}
    check_card(card)


HOSTILE = {
    "temperature": [0, -1.0, 1e-9, 1e9, True, "1", None, [1.0]],
    "products": [-1, 1e9, "1"],
    "precision": ["int4", 8, None, {}],
    "layers": [[], {"a": 1}, None, {"a\n": "w8a8"}],
    "versions": [[], {"attar": 1}, {"attar": "\x1b[2J"}],
    "scores": [[], None, 1.0],
    "seal": ["", "A" * 64, 0],
    "task.name": [1, None, "a\x00b", "x" * 1001, "\ud800"],
    "task.labels": [[], ["一"], ["一", "一"], "一二", ["一", 2], ["一", "\x07"], ["a"] * 1001],
    "task.style": ["triple", None, []],
    "task.metric": ["f2"],
    "task.window_chars": [0, 1.5, 10**9, True],
    "task.aliases": [[], {"a": "三"}, {"a": 1}],
    "input.max_tokens": [0, 7, 10**7, 16.0, "16", True],
    "input.style": ["double"],
    "input.reads": ["tail", 0],
    "input.token_types": [0, "yes"],
    "input.normalise": ["nfkc", ["nfkd"], [["nfkc"]], ["nfkc"] * 11],
    "limits.max_tokens": [17],
    "files.model.onnx": ["0" * 63, "Z" * 64, None],
    "kind": ["forest", 1, None],
    "verdict": [
        {},
        {"status": "fine", "conditions": []},
        {"status": "pass"},
        {"status": "pass", "conditions": {}},
        {"status": "pass", "conditions": [{"name": "a", "status": "pass"}]},
        {"status": "pass", "conditions": [{"name": "a", "status": "no", "said": "b"}]},
        {"status": "pass", "conditions": [{"name": "a", "status": "pass", "said": "\x1b[2J"}]},
        {"status": "pass", "conditions": [], "more": 1},
    ],
}


@pytest.mark.parametrize(("where", "value"), [(key, v) for key, values in HOSTILE.items() for v in values])
def test_a_value_that_attar_never_writes_is_named(card, where, value):
    first, _, rest = where.partition(".")
    if rest:
        card[first][rest] = value
    else:
        card[first] = value
    with pytest.raises(ValueError, match=rf"{first}\b"):
        check_card(card)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "model.onnx.data", "a/b", ""])
def test_only_files_that_attar_writes_are_named(card, name):
    card["files"][name] = "0" * 64
    with pytest.raises(ValueError, match="unknown key files"):
        check_card(card)


LINEAR = dict.fromkeys(("linear.safetensors", "ngrams.json", "README.md", "checks.json"), "0" * 64)
CASCADE = dict.fromkeys(("README.md", "1/attar.json", "2/attar.json"), "0" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "linear", "input": {"style": "single", "window_chars": None}, "files": LINEAR},
        {
            "kind": "cascade",
            "input": {"style": "single"},
            "files": CASCADE,
            "cascade": {"thresholds": [0.9], "bound": "b", "figures": {}},
        },
    ],
)
def test_each_kind_has_files_and_input_of_its_own(card, changes):
    del card["limits"]
    check_card(card | changes)
    for key in ("input", "files", "cascade"):
        for other in (card.get(key), {}, None, {**changes.get(key, {}), "x": 1}):
            if key in changes:
                with pytest.raises(ValueError, match=key):
                    check_card(card | changes | {key: other})
    with pytest.raises(ValueError, match=r"files|cascade"):
        check_card(card | changes | {"kind": "onnx", "input": card["input"]})


@pytest.mark.parametrize("thresholds", [[], [1.1], [-0.1], [0.5] * 3, ["a"], None, [True]])
def test_thresholds_are_probs(card, thresholds):
    del card["limits"]
    cascade = {"thresholds": thresholds, "bound": "b", "figures": {}}
    changes = {"kind": "cascade", "input": {"style": "single"}, "files": CASCADE, "cascade": cascade}
    with pytest.raises(ValueError, match=r"cascade\.thresholds"):
        check_card(card | changes)


def test_unknown_and_missing_keys_are_named(card):
    with pytest.raises(ValueError, match=r"unknown key temprature; did you mean 'temperature'"):
        check_card(card | {"temprature": 1.0})
    del card["input"]["style"]
    with pytest.raises(ValueError, match=r"input\.style missing"):
        check_card(card)
