"""attar bench: figures, table, picture and JSON of an artifact and the checkpoint it came from."""

import json
import os
import subprocess
import sys

import pytest

import attar.bench.stage
from attar.bench.stage import bench
from attar.bench.timing import interleaved
from attar.errors import DataError
from attar.export.stage import export_checkpoint
from attar.models.checkpoint import save_checkpoint
from attar.recipe.load import ExportRecipe
from attar.task import Task


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_checkpoint, make_examples):
    folder = tmp_path_factory.mktemp("bench")
    checkpoint = make_checkpoint(max_tokens=70)
    save_checkpoint(checkpoint, folder / "teacher")
    lenient = ExportRecipe(max_flips=1, max_f1_loss=1)
    export_checkpoint(checkpoint, make_examples(40), folder / "artifact", lenient, {})
    save_checkpoint(make_checkpoint(task=Task("whole", ("坏", "好", "中"), "single")), folder / "single")
    return folder


@pytest.mark.usefixtures("moments")
def test_bench_of_an_artifact_and_a_checkpoint(folders, tmp_path, attar_main, monkeypatch):
    monkeypatch.setattr(attar.bench.stage, "_NUM_SYNTHETIC", 300)
    out = tmp_path / "figures"
    arguments = ["bench", folders / "artifact", "--against", folders / "teacher", "--repeats", 1]
    code, said, err = attar_main(*arguments, "--price", 0.08, "--out", out)
    assert code == 0, err
    figures = json.loads((out / "bench.json").read_text("utf-8"))
    assert list(figures["models"]) == ["artifact", "teacher"]
    assert figures["data"]["source"] == "synthetic"
    assert 25 < figures["data"]["mean_tokens"] <= 70
    artifact, teacher = figures["models"].values()
    assert (artifact["kind"], teacher["kind"]) == ("artifact", "checkpoint")
    assert artifact["times_slower"] == 1
    for model, file in ((artifact, "artifact/model.onnx"), (teacher, "teacher/model.safetensors")):
        assert model["size_bytes"] == (folders / file).stat().st_size
        for cores in ("all_cores", "one_core"):
            assert model[cores]["examples_per_second"] > 0
            assert len(model[cores]["rounds"]) == 1
        # An hour of the cores buys so many millions.
        millions = model["all_cores"]["examples_per_second"] * 3600 / 1e6
        assert model["price_per_million"] == pytest.approx(figures["workers"] * 0.08 / millions)
    # The teacher brings torch.
    assert 20e6 < artifact["cold_start"]["resident_bytes"] < 250e6 < teacher["cold_start"]["resident_bytes"]
    assert artifact["cold_start"]["start_up_seconds"] > 0
    for wanted in (
        "artifact",
        "teacher",
        "price a million, 0.08",
        "one example, p50",
        "machine: ",
        "synthetic",
    ):
        assert wanted in said, wanted
    assert (out / "bench.svg").read_text("utf-8").startswith("<svg")


def test_bench_reads_the_test_split_in_a_random_order(folders, tmp_path, make_rows, attar_main, monkeypatch):
    rows = make_rows(tmp_path / "rows.jsonl", 60)
    assert attar_main("prepare", rows, "--out", tmp_path / "data")[0] == 0
    seen = []

    def timed(sides, examples, _repeats):
        seen.extend(examples)
        return interleaved(dict.fromkeys(sides, len), examples, 1, turn_seconds=0.001)

    monkeypatch.setattr(attar.bench.stage, "interleaved", timed)
    figures = bench(folders / "artifact", (), tmp_path / "data", repeats=1)
    written = attar.bench.stage.load_split(tmp_path / "data", "test")
    assert figures["data"]["examples"] == len(written) == len(seen)
    assert seen != written
    assert sorted(e.question for e in seen) == sorted(e.question for e in written)


@pytest.mark.parametrize(
    ("against", "price", "said"),
    [
        (["single"], 0.04, "single reads examples of style 'single', artifact of 'marked_pair'"),
        (["teacher", "single/../teacher"], 0.04, "teacher is named twice"),
        ([], -1.0, "a core-hour for -1.0"),
    ],
)
def test_what_cannot_be_timed_together_is_said_before_anything_is(folders, against, price, said):
    with pytest.raises(DataError, match=said):
        bench(folders / "artifact", [folders / name for name in against], price_per_core_hour=price)


def test_bench_of_an_artifact_needs_nothing_but_the_base_install(folders, tmp_path):
    # Found first on the path of this process and of those that it starts: as if not installed.
    for package in ("torch", "transformers", "sklearn", "safetensors", "onnx", "accelerate"):
        (tmp_path / f"{package}.py").write_text(f"raise ImportError('{package} is not installed')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    code = (
        "import functools, sys; from pathlib import Path; from attar.bench import stage\n"
        "stage.interleaved = functools.partial(stage.interleaved, single_examples=20, turn_seconds=0.02)\n"
        "artifact, out = map(Path, sys.argv[1:])\n"
        "stage.write_bench(out, stage.bench(artifact, repeats=1))\n"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(folders / "artifact"), str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "bench.svg").is_file()
