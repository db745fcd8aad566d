"""The scripts behind the figures: they start, draw what they say, and time what they are given."""

import os
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.bench.processes import Lap
from attar.errors import AttarError
from attar.export.stage import export_checkpoint
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import ExportRecipe
from attar.task import Example, Task
from attar.text.encoding import InputSpec, TextEncoder


@pytest.fixture(scope="module")
def full(bench):
    return bench("peers.models").full_tokenizer()


@pytest.fixture(scope="module")
def small(bench, full):
    return bench("peers.models").small_tokenizer(full)


@pytest.fixture(scope="module")
def traffic(bench, full):
    return bench("peers.traffic").make_traffic(full, 600)


@pytest.fixture(scope="module")
def models(bench, full, traffic, tmp_path_factory):
    """A folder with examples and a tiny artifact."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models")
    bench("peers.traffic").write_examples(folder / "examples.json", traffic)
    task = Task("tiny", ("坏", "中", "好"))
    config = BertConfig(
        vocab_size=full.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=70,
        num_labels=3,
        initializer_range=0.3,
    )
    spec = InputSpec.for_task(task, 70, token_types=True)
    model = BertForSequenceClassification(config).eval()
    checkpoint = Checkpoint(model, TextEncoder(full, spec), task)
    unlabelled = [Example(e.text, e.start, e.end) for e in traffic[:40]]
    lenient = ExportRecipe(max_flips=1.0, max_f1_loss=1.0)
    export_checkpoint(checkpoint, unlabelled, folder / "tiny", lenient, {})
    return folder


def test_vocabularies_have_their_stated_sizes(bench, full, small):
    made = bench("peers.models")
    assert full.get_vocab_size() == made.FULL_VOCABULARY
    tokenizer, old_ids = small
    assert tokenizer.get_vocab_size() == len(old_ids) == made.SMALL_VOCABULARY


def test_traffic_is_as_long_as_it_says_and_the_same_every_time(bench, full, traffic):
    module = bench("peers.traffic")
    encoder = TextEncoder(full, InputSpec.for_task(module.TASK, module.LONGEST + 1, token_types=True))
    counts = module.token_counts(encoder, traffic)
    assert module.SHORTEST <= counts["shortest"] <= counts["longest"] <= module.LONGEST
    assert abs(counts["mean"] - module.MEAN) < 1.5
    assert all(example.text[example.start : example.end] for example in traffic)
    assert module.make_traffic(full, 20) == traffic[:20]


def test_the_small_vocabulary_reads_the_traffic_the_same(full, small, traffic):
    tokenizer, old_ids = small
    for example in traffic[:100]:
        ids = tokenizer.encode(example.text, add_special_tokens=False).ids
        assert old_ids[ids].tolist() == full.encode(example.text, add_special_tokens=False).ids


def test_every_side_is_compared_with_one_that_is_there(bench):
    sides = bench("peers.sides").SIDES
    for side in sides.values():
        assert not side.against or side.against in sides
    for target in bench("peers.tables")._TARGETS:
        assert target.side in sides


def test_parsers_take_their_options(bench):
    args = (
        bench("inference")
        .parser()
        .parse_args(["--out", "o", "--sides", "t4-original,t4-int8", "--rounds", "9", "--examples", "50"])
    )
    assert (args.sides, args.rounds, args.examples, args.results) == ("t4-original,t4-int8", 9, 50, None)
    args = bench("accuracy_speed").parser().parse_args(["cars", "d", "--out", "o", "--artifact", "a=b"])
    assert (args.artifact, args.teacher) == (["a=b"], [])


def test_an_unknown_side_is_named(bench):
    module = bench("inference")
    args = module.parser().parse_args(["--out", "o", "--sides", "t4-int8,nosuch"])
    with pytest.raises(AttarError, match="unknown nosuch"):
        module._choose(args)


def test_a_side_without_its_package_is_left_out(bench, monkeypatch):
    module = bench("inference")
    monkeypatch.setattr(module, "importable", lambda _python, packages: "openvino" not in packages)
    args = module.parser().parse_args(["--out", "o", "--sides", "t4-int8,t4-openvino"])
    sides, _, skipped = module._choose(args)
    assert [side.name for side in sides] == ["t4-int8"]
    assert "openvino" in skipped["t4-openvino"]


def test_sides_take_turns_in_processes_of_their_own(bench, models, tmp_path, capsys):
    turns, tables, sides = (bench(f"peers.{name}") for name in ("turns", "tables", "sides"))
    side = sides.artifact_side(models / "tiny")
    assert side.name == f"{models.name}/tiny"
    cores = sorted(os.sched_getaffinity(0))
    with (tmp_path / "log").open("w") as log:
        plan = turns.Plan(models, {side.name: sys.executable}, (cores * 2)[:2], 3, 0.02, 1, log)
        measured = [turns.Measured(side)]
        turns.measure_starts(measured, plan)
        turns.measure_rounds(measured, plan, 10)
        turns.measure_latency(measured, plan)
    figures = tables.figures_of(measured, models)[side.name]
    assert len(figures["rounds"]) == 3
    assert 0 < figures["examples_per_second_low"] <= figures["examples_per_second"]
    assert 0 < figures["latency_ms_p50"] <= figures["latency_ms_p99"]
    assert 0 < figures["resident_mb"] <= figures["peak_mb"] * 1.01
    assert figures["start_s"] > 0
    assert figures["size_bytes"] > 1000
    assert np.allclose(np.sum(measured[0].probs, 1), 1, atol=1e-5)
    assert "round 3 of 3" in capsys.readouterr().err
    assert len(tables.speed_table({side.name: figures})) == 3


def test_a_side_that_dies_is_named(bench, models, tmp_path):
    turns, sides = bench("peers.turns"), bench("peers.sides")
    side = sides.artifact_side(models / "nosuch")
    with (tmp_path / "log").open("w") as log:
        plan = turns.Plan(models, {side.name: sys.executable}, (0, 0), 1, 0.01, 1, log)
        process = turns.side_process(side, plan)
        with pytest.raises(AttarError, match="nosuch: its process ended"):
            process.ask("memory")
        process.close()
    assert "no such folder" in (tmp_path / "log").read_text("utf-8")


def test_ratios_are_of_paired_rounds(bench):
    turns, tables, sides = (bench(f"peers.{name}") for name in ("turns", "tables", "sides"))
    base = turns.Measured(sides.SIDES["base-original"], 10, [Lap(1, 1), Lap(2, 1), Lap(4, 1)])
    fast = turns.Measured(sides.SIDES["t4-int8"], 1000, [Lap(1, 2), Lap(2, 4), Lap(2, 2)])
    ratio = tables._ratio(fast, base)
    assert ratio == {"median": 100.0, "low": 100.0, "high": 200.0}
    assert tables._ratio(fast, None) is None


def test_targets_say_yes_and_no(bench):
    tables = bench("peers.tables")
    one = {"times_base": {"median": 99.0}, "times_same_model": {"median": 8.0}, "examples_per_second": 1900.0}
    one |= {"rounds": [3.0, 3.0], "latency_ms_p50": 1.3, "start_s": None, "resident_mb": 151.0}
    one |= {"size_bytes": 7_400_000}
    lines = tables.target_table({"t4-int8": one, "t4-pipeline": {"rounds": [1.0, 2.0]}})
    shown = {line.split(" | ")[0].strip("| "): line.rsplit("|", 2)[1].strip() for line in lines[2:]}
    assert shown == {
        "4x312 int8 against BERT-base as the original system runs it": "no",
        "4x312 int8 against the same student as the original system runs it": "yes",
        "against transformers' pipeline": "yes",
        "stretch: examples/s": "yes",
        "one example, one thread, p50": "yes",
        "resident memory after it": "no",
        "model and tokenizer, vocabulary 5,000": "yes",
    }


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("ab |#", max_size=6), max_size=4), st.text("xyz\n", max_size=12))
def test_a_block_is_replaced_and_nothing_else(bench, tmp_path_factory, lines, around):
    publish = bench("peers.document").publish
    page = tmp_path_factory.mktemp("page") / "results.md"
    page.write_text(f"{around}<!-- one -->\nold\n<!-- /one -->{around}", "utf-8")
    publish(page, "one", "One", lines)
    assert page.read_text("utf-8") == "\n".join([f"{around}<!-- one -->", *lines, f"<!-- /one -->{around}"])
    publish(page, "two", "Two", ["new"])
    assert page.read_text("utf-8").endswith("\n\n## Two\n\n<!-- two -->\nnew\n<!-- /two -->\n")


def test_fasttext_learns_and_is_tuned_on_dev(bench, monkeypatch):
    pytest.importorskip("fasttext", reason="fasttext-community is optional")
    module = bench("accuracy_speed")
    monkeypatch.setattr(module, "_WINDOWS", (1, None))
    monkeypatch.setattr(module, "_EPOCHS", (25,))
    monkeypatch.setattr(module, "_NGRAMS", (2,))
    task = Task("tiny", ("坏", "好"))
    rows = [("面霜很好用", "好"), ("面霜太差了", "坏"), ("面霜真好", "好"), ("面霜真差", "坏")] * 10
    examples = [Example(text, 0, 2, label) for text, label in rows]
    found = module.train_fasttext(task, examples, examples[:4])
    probs = found(examples[:4])
    assert probs.shape == (4, 2)
    assert [task.labels[i] for i in probs.argmax(1)] == ["好", "坏", "好", "坏"]
    assert found.window_chars is None
    assert found.size_bytes > 0


def test_install_lines_name_the_largest(bench):
    packages = {f"p{i}": {"version": "1", "bytes": i * 1_000_000} for i in range(1, 9)}
    found = {"wheel_bytes": 250_000, "installed_bytes": 36_000_000, "packages": packages}
    (line,) = bench("inference").size_lines(found, "command")
    assert "36.0 MB on disk, 8 packages" in line
    assert "p8 1 8.0, p7 1 7.0" in line
    assert "the other 2 together 3.0" in line


def test_the_machine_is_described(bench):
    machine = {"cpu": "One", "flags": ["avx2", "avx512f"], "python": "3.11.7"}
    line = bench("peers.document").machine_line
    assert line(machine, 2) == "2 cores of One (avx2, avx512f), Python 3.11.7"
    assert "no vector flags known" in line(machine | {"flags": []}, 2)
