"""Labels that are missing, or numbers on another scale: said before anything is trained."""

import csv
import logging

import pytest

from attar import pipeline
from attar.errors import DataError
from attar.recipe.load import make_recipe
from attar.records.prepared_folder import load_manifest

WORDS = ("遮瑕很好用", "遮瑕一般般", "遮瑕糊成片", "遮瑕也就那样", "遮瑕惊艳了我")


def write(path, labels, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, delimiter=delimiter)
        rows.writerow(["text", "term", "label"])
        for number, label in enumerate(labels):
            text = chr(0x5000 + 61 * number) * 6 + WORDS[number % 5]
            rows.writerow([text, "遮瑕", label])
    return path


def prepared(tmp_path, *files, task="cosmetics", **aliases):
    recipe = make_recipe({"name": "x", "task": task}).with_words({}, aliases)
    return load_manifest(pipeline.prepare(recipe, files, tmp_path / "data"))


def counts(manifest):
    labels = manifest["task"]["labels"]
    return {name: sum(split[name] for split in manifest["labels"].values()) for name in labels}


@pytest.mark.parametrize(
    ("labels", "shown", "mapping"),
    [
        (["0", "1"] * 15, "0 (15), 1 (15)", "--alias 0=消极 --alias 1=积极"),
        (["0", "1", "2"] * 10, "0 (10), 1 (10), 2 (10)", "--alias 0=消极 --alias 1=中性 --alias 2=积极"),
        (["1.0", "0.0"] * 15, "0 (15), 1 (15)", "--alias 0=消极 --alias 1=积极"),
        (
            list("12345") * 6,
            "1 (6), 2 (6)",
            "1=消极 --alias 2=消极 --alias 3=中性 --alias 4=积极 --alias 5=积极",
        ),
        (["-2", "-1", "0", "1", "2"] * 6, "-2 (6), -1 (6)", "-2=消极 --alias -1=消极 --alias 0=中性"),
        (["0", "1", "积极", "消极"] * 8, "0 (8), 1 (8)", "--alias 0=消极 --alias 1=积极"),
        (["2", "4"] * 8, "2 (8), 4 (8)", "--alias 2=消极 --alias 4=积极"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_numbers_on_another_scale_are_an_error_with_the_counts_and_a_mapping(
    tmp_path, labels, shown, mapping, ending
):
    file = write(tmp_path / f"a.{ending}", labels, "," if ending == "csv" else "\t")
    with pytest.raises(DataError) as error:
        prepared(tmp_path, file)
    assert shown in str(error.value)
    assert mapping in str(error.value)
    assert not (tmp_path / "data/manifest.json").exists()


def test_the_mapping_of_the_message_is_a_way_out(tmp_path):
    file = write(tmp_path / "a.csv", list("12345") * 12)
    aliases = {"1": "消极", "2": "消极", "3": "中性", "4": "积极", "5": "积极"}
    assert counts(prepared(tmp_path, file, **aliases)) == {"消极": 24, "中性": 12, "积极": 24}


def test_two_of_the_usual_numbers_may_be_said_to_mean_the_usual(tmp_path):
    file = write(tmp_path / "a.csv", ["0", "1"] * 20)
    manifest = prepared(tmp_path, file, **{"0": "neutral", "1": "积极"})
    assert counts(manifest) == {"消极": 0, "中性": 20, "积极": 20}


def test_scales_are_judged_over_all_sources(tmp_path):
    first, second = write(tmp_path / "a.csv", ["0", "1"] * 20), tmp_path / "b.jsonl"
    second.write_text('{"text": "瓶盖裂了", "term": "瓶盖", "label": -1}\n', "utf-8")
    assert counts(prepared(tmp_path, first, second)) == {"消极": 1, "中性": 20, "积极": 20}


def test_components_count_from_zero(tmp_path):
    with pytest.raises(DataError, match=r"1 \(15\), 2 \(15\).*--alias 1=否 --alias 2=是"):
        prepared(tmp_path, write(tmp_path / "a.csv", ["1", "2"] * 15), task="components")
    manifest = prepared(tmp_path, write(tmp_path / "b.csv", ["1", "0"] * 15), task="components")
    assert (counts(manifest), manifest["warnings"]) == ({"否": 15, "是": 15}, [])


def test_a_stray_number_is_a_warning(tmp_path):
    file = write(tmp_path / "a.csv", [*["积极", "消极", "中性"] * 50, "1"])
    (warning,) = prepared(tmp_path, file)["warnings"]
    assert "1 (1)" in warning
    assert "--alias 1=LABEL" in warning


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["-1", "1"] * 20, "no example has the label 中性 (消极 20, 中性 0, 积极 20)"),
        (["消极", "中性"] * 20, "no example has the label 积极 (消极 20, 中性 20, 积极 0)"),
        (["好评"] * 30, "all examples have the label 积极 (消极 0, 中性 0, 积极 30)"),
    ],
)
def test_a_label_that_no_row_has_is_a_warning_everywhere(tmp_path, caplog, labels, said):
    with caplog.at_level(logging.WARNING, "attar"):
        manifest = prepared(tmp_path, write(tmp_path / "a.csv", labels))
    assert manifest["warnings"][0].startswith(said)
    assert said in caplog.text
    assert said in (tmp_path / "data/audit.html").read_text("utf-8")
    assert said in (tmp_path / "data/audit.json").read_text("utf-8")


def test_a_label_that_train_lacks_is_a_warning(tmp_path):
    train, test = write(tmp_path / "a.csv", ["消极", "积极"] * 20), tmp_path / "b.csv"
    test.write_text("text,term,label\n瓶盖松松垮垮,瓶盖,中性\n", "utf-8")
    sources = [{"path": str(train)}, {"path": str(test), "split": "test"}]
    recipe = make_recipe({"name": "x", "data": {"test": 0}})
    (warning,) = load_manifest(pipeline.prepare(recipe, sources, tmp_path / "data"))["warnings"]
    assert warning.startswith("train has no example of the label 中性")


def test_one_label_is_refused_by_whatever_trains(tmp_path):
    prepared(tmp_path, write(tmp_path / "a.csv", ["积极"] * 40))
    recipe, data = make_recipe({"name": "x"}), tmp_path / "data"
    for work in (
        lambda: pipeline.train(recipe, data, tmp_path / "teacher"),
        lambda: pipeline.distill(recipe, data, tmp_path / "none", tmp_path / "student"),
        lambda: pipeline.finetune(recipe, data, tmp_path / "finetuned"),
    ):
        with pytest.raises(DataError, match=r"all \d+ training examples have the label 积极"):
            work()


def test_truth_values_are_labels_of_components(tmp_path):
    file = tmp_path / "a.jsonl"
    lines = [
        f'{{"text": "{chr(0x5000 + 61 * i) * 5}含烟酰胺", "term": "烟酰胺", "label": {value}}}\n'
        for i, value in enumerate(["true", "false", '"TRUE"', '"False"', '"yes"', '"No"'] * 5)
    ]
    file.write_text("".join(lines), "utf-8")
    assert counts(prepared(tmp_path, file, task="components")) == {"否": 15, "是": 15}
