"""Models side by side: what is told apart, what is kept, and what they are called."""

from __future__ import annotations

import json

import numpy as np
import openpyxl
import pytest
from scipy.stats import binomtest, chi2
from written_tables import read_rows, write_rows

from attar.compare.annotations import AnnotationOptions
from attar.compare.annotators import annotator_agreement
from attar.compare.differences import differences, judged_by_all, mcnemar
from attar.compare.join import Annotation, Case
from attar.compare.names import names_of, sheet_title
from attar.compare.stage import CompareOptions, compare_files
from attar.errors import DataError, RecipeError
from attar.records.audit.agreement import fleiss_kappa

LABELS = np.array(["坏", "中", "好"])
QUICK = CompareOptions(bootstrap=300)


def said_by(rng, gold, right):
    """What a model that is right so often says."""
    wrong = (gold + rng.integers(1, 3, len(gold))) % 3
    return np.where(rng.random(len(gold)) < right, gold, wrong)


def models(folder, accuracies, *, own=True, num=900, seed=1):
    """Scored files of models with known accuracies, two mentions a review; their paths."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 3, num)
    paths = []
    for name, accuracy in accuracies.items():
        said = said_by(rng, gold, accuracy)
        rows = []
        for i, label in enumerate(said):
            term = f"词{i % 2}"
            text = f"第{i // 2}单，词0和词1都说了"
            start = text.index(term)
            row = {"text": text, "term": term, "start": start, "end": start + 2}
            row |= {"brand": f"品牌{i % 3}", "order": i, "channel": "网店"} if own else {}
            row |= {"gold": LABELS[gold[i]], "label": LABELS[label], "prob": 0.75}
            rows.append(row)
        paths.append(write_rows(folder / f"{name}.csv", rows))
    return paths


@pytest.mark.parametrize("own", [True, False])
def test_two_models_whose_difference_is_known_are_told_apart(tmp_path, own):
    paths = models(tmp_path, {"old": 0.78, "new": 0.86}, own=own)
    figures = compare_files(paths, tmp_path / "out.csv", compared=QUICK)
    (pair,) = figures["differences"]
    gap, test = pair["macro_f1"], pair["mcnemar"]
    assert (pair["first"], pair["second"], pair["num"], pair["num_reviews"]) == ("old", "new", 900, 450)
    assert 0 < gap["low"] < 0.08 < gap["high"]  # all labels are alike, so F1 differs as accuracy does
    assert test["p"] < 0.001
    assert test["only_second"] - test["only_first"] == round(
        900 * (figures["sides"]["new"]["accuracy"] - figures["sides"]["old"]["accuracy"])
    )
    (other,) = compare_files(paths[::-1], tmp_path / "out.csv", compared=QUICK)["differences"]
    assert other["macro_f1"]["value"] == -gap["value"]


def test_models_that_are_alike_are_seldom_told_apart():
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(40):
        gold = rng.integers(0, 3, 300)
        pair = [said_by(rng, gold, 0.8) for _ in range(2)]
        cases = [
            Case(tuple(Annotation(f"x{i}", "x", label=LABELS[x[i]]) for x in pair), LABELS[gold[i]])
            for i in range(300)
        ]
        (one,) = differences(judged_by_all(cases, list(LABELS)), ["a", "b"], repeats=300)
        found += not one["macro_f1"]["low"] <= 0 <= one["macro_f1"]["high"]
    assert found <= 6  # 2 are expected; more than 6 come once in 300 tries


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 9), (10, 10), (20, 41), (620, 560)])
def test_mcnemar_is_the_binomial_test_or_its_approximation(first, second):
    found = mcnemar(first, second)
    num = first + second
    if num > 1000:
        assert not found.is_exact
        assert found.p == pytest.approx(chi2.sf((abs(first - second) - 1) ** 2 / num, 1))
        assert found.p == pytest.approx(binomtest(first, num).pvalue, rel=0.02)
    else:
        assert found.p == pytest.approx(binomtest(first, num).pvalue if num else 1.0)


@pytest.mark.parametrize("ending", ["xlsx", "csv", "tsv", "jsonl", "parquet"])
def test_the_columns_of_the_user_are_kept(tmp_path, ending):
    paths = models(tmp_path, {"old": 0.7, "new": 0.8}, num=6)
    out = tmp_path / f"out.{ending}"
    compare_files(paths, out, compared=QUICK)
    rows = read_rows(out)
    assert [str(row["brand"]) for row in rows] == ["品牌0", "品牌1", "品牌2"] * 2
    assert [str(row["order"]) for row in rows] == list("012345")
    assert {row["channel"] for row in rows} == {"网店"}
    assert all(row["label old"] in LABELS and row["label new"] in LABELS for row in rows)
    assert [key for key in rows[0] if key.startswith(("brand", "order"))] == ["brand", "order"]


def test_columns_in_which_the_files_differ_are_kept_apart(tmp_path):
    row = {"text": "口红好", "term": "口红", "label": "好", "start": "周一", "note": "a", "input_label": "坏"}
    a = write_rows(tmp_path / "a.csv", [row])
    b = write_rows(tmp_path / "b.csv", [row | {"note": "b", "label": "坏"}])
    compare_files([a, b], tmp_path / "out.jsonl", gold=a)
    (found,) = read_rows(tmp_path / "out.jsonl")
    assert (found["note a"], found["note b"], found["gold"]) == ("a", "b", "好")
    assert (found["start"], found["input_start"]) == (None, "周一")  # the name of a column of ours
    assert found["input_label"] == "坏"


def test_three_models_and_their_names(tmp_path, attar_main, one_line):
    paths = models(tmp_path, {"a": 0.6, "b": 0.7, "c": 0.95}, num=120)
    code, said, _ = attar_main(
        "compare",
        *paths,
        "--names",
        "老,新,大",
        "--out",
        tmp_path / "o.xlsx",
        "--figures",
        tmp_path / "f.json",
    )
    assert code == 0
    assert "大 minus 老: +" in said
    found = json.loads((tmp_path / "f.json").read_text("utf-8"))
    assert list(found["sides"]) == ["老", "新", "大"]
    assert [(pair["first"], pair["second"]) for pair in found["differences"]] == [
        ("老", "新"), ("老", "大"), ("新", "大"),
    ]  # fmt: skip
    assert {"wrong 老", "correct 大", "all wrong", "only in 新"} <= set(found["sheets"])
    assert "slices" in openpyxl.load_workbook(tmp_path / "o.xlsx").sheetnames
    code, _, stderr = attar_main("compare", *paths, "--names", "a,b", "--out", tmp_path / "o.xlsx")
    assert "2 names for 3 models" in one_line(code, stderr)


def test_what_sides_are_called(tmp_path):
    def called(*places):
        return names_of([tmp_path / place for place in places])

    assert called("old.csv", "new.parquet") == ("old", "new")
    assert called("x/scored.csv", "y/scored.csv") == ("x/scored", "y/scored")
    assert called("x/deep/a.csv", "y/deep/a.csv") == ("x/deep/a", "y/deep/a")
    assert called("a.csv", "a.csv") == ("a", "a (2)")
    (tmp_path / "runs" / "nov" / "artifact").mkdir(parents=True)
    assert called("runs/nov/artifact", "b.csv") == ("nov/artifact", "b")
    with pytest.raises(RecipeError, match="'a' is given twice"):
        names_of([tmp_path / "x", tmp_path / "y"], ["a", "a"])
    long = sheet_title("wrong", "a/very:long[name] of some model", ["wrong x"])
    assert len(long) == 28
    assert not set(long) & set("/:[]")
    assert sheet_title("wrong", "X", ["wrong x"]) == "wrong X (2)"


def test_slices_have_their_number_and_their_interval(tmp_path):
    paths = models(tmp_path, {"old": 0.7, "new": 0.9})
    train = write_rows(tmp_path / "train.csv", [{"text": "词1", "term": "词1", "label": "好"}] * 6)
    options = CompareOptions(by=("brand",), train=(train,), bootstrap=300)
    figures = compare_files(paths, tmp_path / "out.xlsx", compared=options)
    found = {(one["by"], one["value"]): one for one in figures["slices"]}
    assert {by for by, _ in found} == {
        "label", "channel", "brand", "characters of the text", "term", "times of the term in training",
    }  # fmt: skip
    assert found["brand", "品牌0"]["num"] == 300
    assert found["term", "seen in training"]["num"] == found["term", "unseen"]["num"] == 450
    assert found["times of the term in training", "5 to 19 times"]["num"] == 450
    assert (
        found["channel", "网店"]["sides"]["new"]["accuracy"]["value"] == figures["sides"]["new"]["accuracy"]
    )
    for one in found.values():
        new = one["sides"]["new"]
        assert new["accuracy"]["low"] < new["accuracy"]["value"] < new["accuracy"]["high"]
        assert 0 < new["difference"]["low"] < new["difference"]["value"] < 0.4
    with pytest.raises(DataError, match=r"--by brnad: no file has such a column.*did you mean 'brand'"):
        compare_files(paths, tmp_path / "out.xlsx", compared=CompareOptions(by=("brnad",)))


def test_macro_f1_is_over_the_labels_that_occur(tmp_path):
    rows = [{"text": f"x{i}", "term": "x", "gold": "好坏"[i % 2], "label": "好坏"[i % 2]} for i in range(8)]
    right = write_rows(tmp_path / "right.csv", rows)
    one = write_rows(tmp_path / "one.csv", [*rows[:7], rows[7] | {"label": "中"}])
    figures = compare_files([one, right], tmp_path / "out.xlsx", compared=QUICK)
    assert figures["sides"]["right"]["macro_f1"] == 1
    assert figures["sides"]["one"]["macro_f1"] == pytest.approx((1 + 6 / 7) / 2)
    assert "macro-F1 is over the labels that are gold somewhere; 中 is not" in figures["said"]
    cells = [row[:2] for row in openpyxl.load_workbook(tmp_path / "out.xlsx")["summary"].values]
    assert ("macro-F1 leaves out, gold nowhere", "中") in cells


def test_annotators_agree_by_cohen_and_fleiss(tmp_path, attar_main):
    rows = [
        {"text": f"x{i}", "term": "x", "label": "好", "甲": a, "乙": b, "丙": c}
        for i, (a, b, c) in enumerate(
            [("好", "好", "好"), ("坏", "坏", "好"), ("坏", "好", "中"), ("坏", "坏", "坏"), ("好", "好", "")]
        )
    ]
    path = write_rows(tmp_path / "a.csv", rows)
    two = compare_files([path], tmp_path / "o.xlsx", options=AnnotationOptions(gold=("甲", "乙")))
    (pair,) = two["annotators"]["pairs"]
    assert (pair["annotators"], pair["num_spans"], pair["kappa"]) == (["乙", "甲"], 5, 0.6154)
    assert "fleiss" not in two["annotators"]
    assert two["sides"]["a"]["num_gold"] == 4  # where two differ there is no gold label
    named = [part for name in "甲乙丙" for part in ("--gold-column", name)]
    code, said, _ = attar_main("compare", path, *named, "--out", tmp_path / "o.xlsx")
    assert code == 0
    assert "annotators: all 3, 4, Fleiss' kappa" in said
    three = compare_files([path], tmp_path / "o.xlsx", options=AnnotationOptions(gold=tuple("甲乙丙")))
    assert three["sides"]["a"]["num_gold"] == 4  # 坏, 好, 中 have no majority
    votes = [{name: row[name] for name in "甲乙丙" if row[name]} for row in rows]
    assert three["annotators"] == annotator_agreement(votes)


def test_fleiss_kappa_is_that_of_the_paper():
    # Fleiss (1971) in the form that text books print: 10 questions, 14 annotators, 5 labels.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    counts = [{str(label): n for label, n in enumerate(row) if n} for row in table]
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=0.0005)
    assert fleiss_kappa([{"a": 2}, {"a": 2}]) is None
    assert fleiss_kappa([]) is None


def test_files_of_gold_labels_are_annotators(tmp_path):
    rows = [{"text": f"x{i}", "term": "x", "label": "好坏"[i % 2]} for i in range(6)]
    a = write_rows(tmp_path / "a.csv", rows)
    golds = [
        write_rows(tmp_path / f"{name}.csv", [*rows[:n], *(row | {"label": "中"} for row in rows[n:])])
        for name, n in (("anna", 6), ("ben", 4))
    ]
    figures = compare_files([a], tmp_path / "o.xlsx", gold=golds)
    assert figures["annotators"]["names"] == ["anna", "ben"]
    assert figures["annotators"]["pairs"][0]["num_spans"] == 6
    assert figures["sides"]["a"]["num_gold"] == 4


def test_an_artifact_scores_the_rows_of_the_others(tmp_path, artifact_folder, predictor):
    rows = [{"text": f"第{i}次口红很好", "term": "口红", "gold": "好", "label": "好"} for i in range(4)]
    scored = write_rows(tmp_path / "old.csv", [*rows, {"text": "没有", "term": "唇膏", "label": "好"}])
    figures = compare_files([scored, artifact_folder], tmp_path / "o.jsonl", compared=QUICK)
    name = next(name for name in figures["sides"] if name != "old")
    assert figures["sides"][name]["num"] == 4
    wanted = predictor.predict([row["text"] for row in rows], ["口红"] * 4)
    found = read_rows(tmp_path / "o.jsonl")
    assert [row[f"label {name}"] for row in found] == [*(each.label for each in wanted), None]
    assert found[0][f"prob {name}"] == pytest.approx(wanted[0].prob, abs=1e-6)
    alone = compare_files([artifact_folder], tmp_path / "o.jsonl", gold=scored, compared=QUICK)
    assert alone["sides"][name]["num_gold"] == 4
    with pytest.raises(DataError, match="an artifact has no texts of its own"):
        compare_files([artifact_folder], tmp_path / "o.jsonl")
