"""A cascade answers with the first member where it is sure, and its bound is an exact one."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom
from sklearn.metrics import f1_score

import attar
from attar.artifact import Artifact, load_artifact, publish_artifact, write_files
from attar.cascade.agreements import by_agreement
from attar.cascade.thresholds import agreement_bound, choose_thresholds
from attar.errors import ArtifactError, DataError
from attar.evaluation.baselines import WindowedLinear
from attar.evaluation.linear_artifact import write_linear
from attar.metrics import scores
from attar.pipeline import prepare
from attar.recipe.load import Recipe
from attar.records.prepared_folder import load_split
from attar.scoring.verify import verify
from attar.task import task_by_name

TASK = task_by_name("cosmetics")


def probs_of(sure, labels, num_labels=3):
    """Probs [N, C] whose most likely label and its prob are given."""
    found = np.repeat((1 - np.asarray(sure, np.float32))[:, None] / (num_labels - 1), num_labels, 1)
    found[np.arange(len(labels)), labels] = sure
    return found


@settings(max_examples=40)
@given(st.integers(1, 500), st.data())
def test_the_bound_is_clopper_and_pearsons(num, data):
    disagreeing = data.draw(st.integers(0, num))
    found = agreement_bound(disagreeing, num, 0.95, "binomial")
    high = 1.0 if disagreeing == num else beta.ppf(0.95, disagreeing + 1, num - disagreeing)
    assert found.least == pytest.approx(1 - high, abs=1e-9)


@pytest.mark.parametrize("num", [299, 473, 2000, 20_000])
@pytest.mark.parametrize("method", ["conformal", "binomial"])
def test_as_many_rows_may_disagree_as_the_bound_allows(num, method):
    exact = next(k for k in range(num) if binom.cdf(k, num, 0.01) > 0.05) - 1
    most = exact if method == "binomial" else (num + 1) // 100 - 1
    rng = np.random.default_rng(0)
    sure, labels = rng.uniform(0.6, 1, num), rng.integers(0, 3, num)
    last = probs_of(np.full(num, 0.9), np.where(rng.random(num) < 0.2, (labels + 1) % 3, labels))
    first = probs_of(sure, labels)
    (threshold,), bound = choose_thresholds([first, last], 0.99, method=method)
    answered = first.max(1) >= np.float32(threshold)
    wrong = answered & (labels != last.argmax(1))
    assert bound.method == method
    assert wrong.sum() == bound.disagreeing == most
    assert bound.least >= 0.99
    looser = first.max(1) >= np.sort(first.max(1)[~answered])[-1]
    assert (looser & (labels != last.argmax(1))).sum() > most


@pytest.mark.parametrize(("method", "needed"), [("conformal", 99), ("binomial", 299)])
def test_with_too_few_rows_there_is_no_bound(method, needed):
    labels = np.zeros(needed, np.int64)
    last, first = probs_of(np.full(needed, 0.9), labels), probs_of(np.linspace(0.99, 0.6, needed), labels)
    assert choose_thresholds([first, last], 0.99, method=method)[1].disagreeing == 0
    with pytest.raises(DataError, match=rf"too few to show that 99\.0% .* takes {needed} or more"):
        choose_thresholds([first[1:], last[1:]], 0.99, method=method)


@pytest.mark.parametrize("method", ["conformal", "binomial"])
def test_no_number_of_rows_shows_that_all_agree(method):
    labels = np.zeros(50, np.int64)
    same = probs_of(np.full(50, 0.9), labels)
    with pytest.raises(DataError, match=r"too few to show that 100\.0% .* takes inf or more"):
        choose_thresholds([same, same], 1.0, method=method)


def shares_of_disagreeing(method):
    """The true share at the threshold that each of 300 dev splits chooses."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        sure = rng.uniform(0.5, 1, 600).astype(np.float32)
        wrong = rng.random(600) < 0.2 * (1 - sure)
        last = probs_of(np.full(600, 0.9), wrong.astype(np.int64))
        first = probs_of(sure, np.zeros(600, np.int64))
        (threshold,), _ = choose_thresholds([first, last], 0.99, method=method)
        # The integral of 0.2 (1 - s) over s from the threshold to 1, s uniform on [0.5, 1].
        yield 0.2 * (1 - threshold) ** 2


def test_the_binomial_promise_holds_for_most_splits_and_the_conformal_one_in_the_mean():
    assert sum(share > 0.01 for share in shares_of_disagreeing("binomial")) <= 300 * 0.05 + 12
    found = list(shares_of_disagreeing("conformal"))
    assert 0.006 < np.mean(found) <= 0.0103


def test_members_share_what_may_disagree():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 4000)
    off = [np.where(rng.random(4000) < share, (labels + 1) % 3, labels) for share in (0.2, 0.1)]
    members = [probs_of(rng.uniform(0.5, 1, 4000), one) for one in off]
    thresholds, bound = choose_thresholds([*members, probs_of(np.full(4000, 0.9), labels)], 0.99, 0.95)
    assert len(thresholds) == 2
    assert bound.least >= 0.99
    first = members[0].max(1) >= np.float32(thresholds[0])
    second = ~first & (members[1].max(1) >= np.float32(thresholds[1]))
    assert bound.disagreeing == (first & (off[0] != labels)).sum() + (second & (off[1] != labels)).sum()


def test_a_first_member_that_is_never_right_is_refused():
    labels = np.zeros(500, np.int64)
    with pytest.raises(DataError, match="member 1 of the cascade is never sure enough"):
        choose_thresholds(
            [probs_of(np.full(500, 0.8), labels), probs_of(np.full(500, 0.8), labels + 1)], 0.99, 0.95
        )


def test_a_lower_agreement_passes_fewer_rows_on_and_is_faster():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 1000)
    sure = rng.uniform(0.34, 1, 1000)
    first = np.where(rng.random(1000) < sure, gold, (gold + 1) % 3)  # as often right as it says
    probs = [probs_of(sure, first), probs_of(np.full(1000, 0.9), gold)]
    found = by_agreement(TASK, gold, probs, [1000.0, 100.0], 0.96, 0.95, "conformal")
    assert [one["agreement"] for one in found] == [0.995, 0.99, 0.98, 0.97, 0.96, 0.95, 0.9]
    for one in found:
        assert one["thresholds"] == choose_thresholds(probs, one["agreement"], 0.95, "conformal")[0]
        passed = sure.astype(np.float32) < np.float32(one["thresholds"][0])
        assert one["passed_on"] == pytest.approx(passed.mean())
        assert one["times"] == pytest.approx(1 / (0.1 + passed.mean()))
        right = np.where(passed, gold, first)
        assert one["macro_f1"] == pytest.approx(f1_score(gold, right, average="macro"))
    assert np.all(np.diff([one["passed_on"] for one in found]) < 0)
    shown = by_agreement(TASK, gold[:50], [one[:50] for one in probs], [9, 1], 0.9, 0.95, "conformal")
    assert [one["agreement"] for one in shown] == [0.98, 0.97, 0.95, 0.9]


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_rows):
    folder = tmp_path_factory.mktemp("cascade")
    recipe = Recipe.model_validate({"name": "r", "data": {"dev": 0.4, "test": 0.2}})
    return prepare(recipe, [make_rows(folder / "rows.jsonl", 600)], folder / "data")


@pytest.fixture(scope="module")
def members(data, tmp_path_factory, narrow_search):  # noqa: ARG001
    """Linear models of few and of many training examples."""
    folder = tmp_path_factory.mktemp("members")
    train, dev = load_split(data, "train"), load_split(data, "dev")
    for name, count in (("first", 40), ("second", 200)):
        write_linear(WindowedLinear(TASK, train[:count], dev), TASK, dev, folder / name, {})
    return folder / "first", folder / "second"


@pytest.fixture(scope="module")
def made(data, members, tmp_path_factory, moments):  # noqa: ARG001
    from attar.cascade.stage import CascadeSettings, make_cascade

    return make_cascade(members, data, tmp_path_factory.mktemp("made") / "c", CascadeSettings(0.95))


def test_it_is_an_artifact_that_keeps_its_promise(made, members, data):
    predictor, test = attar.load(made), load_split(data, "test")
    card = predictor.artifact
    assert card.kind == "cascade"
    probs = predictor.predict_probs(test)
    first, second = (attar.load(one).predict_probs(test) for one in members)
    sure = first.max(1) >= np.float32(card.cascade["thresholds"][0])
    assert sure.any()
    assert probs.tobytes() == np.where(sure[:, None], first, second).tobytes()
    figures = card.cascade["figures"]["test"]
    assert figures["cascade"]["passed_on"] == pytest.approx((~sure).mean())
    assert figures["cascade"]["agreement"] == pytest.approx((probs.argmax(1) == second.argmax(1)).mean())
    assert figures["cascade"]["examples_per_second"] > 0
    assert "conformal" in card.cascade["bound"]
    others = {one["agreement"]: one for one in card.cascade["figures"]["dev_by_agreement"]}
    assert list(others) == [0.995, 0.99, 0.98, 0.97, 0.95, 0.9]
    assert others[0.95]["thresholds"] == card.cascade["thresholds"]
    dev = load_split(data, "dev")
    assert others[0.95]["passed_on"] == pytest.approx(
        (attar.load(members[0]).predict_probs(dev).max(1) < np.float32(card.cascade["thresholds"][0])).mean()
    )
    gold = np.array([TASK.index_of(one) for one in dev])
    assert others[0.95]["macro_f1"] == scores(TASK, gold, predictor.predict_probs(dev)).macro_f1
    assert verify(made).compared.num == 128
    logits = predictor.predict_logits(test)
    assert np.array_equal(logits.argmax(1), probs.argmax(1))
    alone = np.concatenate([predictor.predict_probs([one]) for one in test[:20]])
    assert alone.tobytes() == probs[:20].tobytes()


@pytest.mark.usefixtures("narrow_search")
def test_a_network_may_be_its_last_member(artifact_folder, tmp_path, make_examples):
    task = load_artifact(artifact_folder).task
    linear = WindowedLinear(task, make_examples(40, 3, task), make_examples(20, 4, task))
    write_linear(linear, task, make_examples(20, 4, task), tmp_path / "linear", {})
    folder, names, rows = (
        tmp_path / "c",
        {"1": tmp_path / "linear", "2": artifact_folder},
        make_examples(60, 9),
    )
    for name, one in names.items():
        shutil.copytree(one, folder / name)
    first, second = (attar.load(one).predict_probs(rows) for one in names.values())
    threshold = float(np.sort(first.max(1))[30])
    cascade = {"thresholds": [threshold], "bound": "None.", "figures": {}}
    parts = tuple(load_artifact(folder / name) for name in names)
    made = Artifact(
        folder, task, {"style": task.style}, "int8", kind="cascade", cascade=cascade, members=parts
    )
    write_files(made, {}, None)
    predictor, sure = attar.load(folder, workers=2), first.max(1) >= np.float32(threshold)
    assert 0 < sure.sum() < len(rows)
    assert predictor.predict_probs(rows).tobytes() == np.where(sure[:, None], first, second).tobytes()
    windows = [attar.load(one).window(rows[0]) for one in names.values()]
    assert predictor.window(rows[0]) == (min(low for low, _ in windows), max(high for _, high in windows))
    predictor.close()
    assert load_artifact(folder).size_bytes > sum(load_artifact(one).size_bytes for one in names.values())


@pytest.mark.parametrize("damage", ["member", "card", "other", "link", "nested", "thresholds"])
def test_a_damaged_or_hostile_cascade_is_refused(made, members, tmp_path, damage, edit_card):
    copy = shutil.copytree(made, tmp_path / "c")
    match damage:
        case "member":
            path = copy / "1" / "linear.safetensors"
            path.write_bytes(path.read_bytes()[:-1])
        case "card":
            (copy / "2" / "attar.json").write_text("{}")
        case "other":  # another member than the cascade was made of
            shutil.rmtree(copy / "2")
            shutil.copytree(members[0], copy / "2")
        case "link":
            shutil.rmtree(copy / "2")
            (copy / "2").symlink_to(members[1])
        case "nested":
            shutil.rmtree(copy / "2")
            shutil.copytree(made, copy / "2")
            edit_card(copy)
        case "thresholds":  # of three members
            edit_card(copy, cascade={"thresholds": [0.9, 0.9], "bound": "None.", "figures": {}})
    with pytest.raises(ArtifactError):
        attar.load(copy)


@pytest.mark.usefixtures("moments")
def test_the_verb_says_what_it_does(members, data, tmp_path, attar_main, one_line):
    first, second = members
    options = ["--first", first, "--second", second, "--data", data, "--out", tmp_path / "c"]
    code, out, err = attar_main("cascade", *options, "--agreement", "0.95")
    assert code == 0, err
    assert f"artifact:  {tmp_path / 'c'}" in out
    assert "at least 95.0% agreement in the mean over such dev splits" in out.replace("\n", " ")
    shown = out.split("what another --agreement would give, on dev")[1]
    assert "0.95 (this)" in shown
    assert "0.9 " in shown
    code, out, _ = attar_main("cascade", *options, "--agreement", "0.95", "--bound", "binomial")
    assert code == 0
    assert "at least 95.0% agreement with 95% confidence" in out.replace("\n", " ")
    assert "at least 95.0% agreement with 95% confidence" in load_artifact(tmp_path / "c").cascade["bound"]
    code, out, _ = attar_main("cascade", *options, "--agreement", "0.95", "--lang", "zh")
    assert code == 0
    assert "按共形风险控制" in out
    assert "0.95（当前）" in out
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "红润，口红好。色", "term": "口红"}\n', "utf-8")
    assert attar_main("score", tmp_path / "c", "--in", rows, "--out", tmp_path / "out.jsonl")[0] == 0
    assert json.loads((tmp_path / "out.jsonl").read_text("utf-8"))["label"] == "积极"
    assert attar_main("verify", tmp_path / "c")[0] == 0
    again = ["--first", tmp_path / "c", *options[2:-1], tmp_path / "d"]
    assert "is a cascade itself" in one_line(*[attar_main("cascade", *again)[i] for i in (0, 2)])


def test_a_member_that_the_gate_refused_is_taken_only_where_that_is_said(members, data, tmp_path, attar_main):
    condition = {"name": "max_mb", "status": "refuse", "said": "It is too large."}
    card = {"status": "refuse", "headline": "Large.", "conditions": [condition]}
    publish_artifact(load_artifact(members[1]), card, tmp_path / "refused")
    options = [
        "--first",
        members[0],
        "--second",
        tmp_path / "refused",
        "--data",
        data,
        "--out",
        tmp_path / "c",
    ]
    code, _, err = attar_main("cascade", *options)
    assert (code, (tmp_path / "c").exists()) == (3, False)
    assert "It is too large. --accept-refused takes it" in err


def test_members_of_other_tasks_are_refused(members, data, tmp_path, artifact_folder):
    from attar.cascade.stage import CascadeSettings, make_cascade

    with pytest.raises(DataError, match="has the labels 坏, 中, 好"):
        make_cascade([members[0], artifact_folder], data, tmp_path / "c", CascadeSettings())
    with pytest.raises(DataError, match="two or three"):
        make_cascade([members[0]], data, tmp_path / "c", CascadeSettings())


def test_a_cascade_is_told_from_another_by_its_version(made):
    artifact = load_artifact(made)
    other = replace(artifact, cascade={**artifact.cascade, "thresholds": [0.123]})
    assert len(artifact.version) == 12
    assert artifact.version != other.version
