from __future__ import annotations

import math
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attar
from attar.artifact import load_artifact
from attar.errors import ArtifactError, DataError
from attar.scoring import onnx_scorer as module
from attar.scoring.onnx_scorer import length_batches
from attar.scoring.predictor import Predictor, load, softmax
from attar.scoring.session import OnnxModel
from attar.task import Example
from attar.text.encoding import Encoding


@pytest.fixture(scope="module")
def alone(predictor, some_examples):
    """150 examples and their logits, each computed on its own."""
    examples = some_examples(150, 0)
    return examples, np.concatenate([predictor.predict_logits([example]) for example in examples])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_logits_are_the_same_bytes_whatever_else_is_in_the_batch(predictor, alone, data):
    examples, wanted = alone
    rows = data.draw(st.lists(st.integers(0, len(examples) - 1), min_size=1, max_size=80))
    found = predictor.predict_logits([examples[i] for i in rows])
    assert found.tobytes() == wanted[rows].tobytes()


@pytest.fixture(scope="module")
def model(predictor, artifact_folder):
    """The artifact's graph by itself."""
    encoder = predictor.scorer.encoder
    return OnnxModel(artifact_folder / "model.onnx", pad=encoder.pad, spec=encoder.spec)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_logits_are_the_same_bytes_padded_to_any_length(predictor, model, alone, data):
    examples, wanted = alone
    rows = data.draw(st.lists(st.integers(0, len(examples) - 1), min_size=1, max_size=24))
    encodings = predictor.scorer.encoder.encode([examples[i] for i in rows])
    widest = max(len(e.ids) for e in encodings)
    found = model.logits(encodings, data.draw(st.integers(widest, 48)))
    assert found.tobytes() == wanted[rows].tobytes()


def test_chunks_and_workers_change_nothing(predictor, alone, monkeypatch):
    examples, _ = alone
    wanted = predictor.predict_probs(examples)
    assert wanted.shape == (150, 3)
    assert wanted.dtype == np.float32
    np.testing.assert_allclose(wanted.sum(1), 1, atol=1e-6)
    monkeypatch.setattr(module, "_CHUNK", 7)
    monkeypatch.setattr(module, "_BATCH_TOKENS", 60)
    for workers in (1, 3):
        other = Predictor(predictor.artifact, workers)
        assert other.predict_probs(examples).tobytes() == wanted.tobytes()
        other.close()
        assert other.predict_probs(examples[:40]).tobytes() == wanted[:40].tobytes()
        other.close()


def test_repeated_examples_are_computed_once(artifact_folder, some_examples, monkeypatch):
    predictor = Predictor(load_artifact(artifact_folder), 1)
    seen = []
    real = predictor.scorer._model.run_pass
    monkeypatch.setattr(
        predictor.scorer._model,
        "run_pass",
        lambda rows, high_precision: (
            ([] if high_precision else seen).extend(rows) or real(rows, high_precision=high_precision)
        ),
    )
    few = some_examples(5, 1)
    probs = predictor.predict_probs(few * 20)
    assert len(seen) == 5
    assert probs.tobytes() == np.tile(probs[:5], (20, 1)).tobytes()


def test_nothing_to_score(predictor):
    assert predictor.predict_probs([]).shape == (0, 3)
    assert predictor.predict([], []) == []


def test_predict_names_the_label_and_the_span(predictor):
    text = "香味很好，香味"
    first, second = predictor.predict([text, text], ["香味", "香味"], [None, (5, 7)])
    assert (first.start, first.end, second.start, second.end) == (0, 2, 5, 7)
    assert first.probs != second.probs
    for answer in (first, second):
        assert answer.label == max(answer.probs, key=answer.probs.__getitem__)
        assert answer.prob == answer.probs[answer.label]
        assert list(answer.probs) == ["坏", "中", "好"]
    expected = predictor.predict_probs([Example(text, 5, 7)])[0]
    assert list(second.probs.values()) == expected.tolist()


@pytest.mark.parametrize(
    ("terms", "spans", "said"),
    [
        (["口红"], None, "pair 0.*does not occur"),
        ([""], None, "pair 0"),
        (["香味"], [(1, 3)], "is not at 1:3"),
        (["香味"], [(-2, 0)], "is not at"),
        ([], None, "1 texts need as many terms"),
        (None, None, "as many terms"),
        (["香味"], [], "terms and spans"),
    ],
)
def test_a_term_that_is_not_there(predictor, terms, spans, said):
    with pytest.raises(DataError, match=said) as caught:
        predictor.predict(["香味很好"], terms, spans)
    assert "很好" not in str(caught.value)


def test_a_task_without_terms(single_folder):
    predictor = attar.load(single_folder, workers=1)
    (answer,) = predictor.predict(["香味很好"])
    assert answer.probs.keys() == {"坏", "好"}
    assert (answer.start, answer.end) == (0, 0)


def test_several_threads_and_a_pickle(predictor, alone):
    examples, wanted = alone
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(predictor.predict_logits, [examples] * 8):
            assert found.tobytes() == wanted.tobytes()
    copy = _pickled(predictor)
    assert copy.workers == predictor.workers
    assert copy.deduplicate
    assert not _pickled(Predictor(predictor.artifact, deduplicate=False)).deduplicate
    assert copy.predict_logits(examples[:9]).tobytes() == wanted[:9].tobytes()
    copy.close()
    model = _pickled(predictor.scorer._model)
    assert model.logits(predictor.scorer.encoder.encode(examples[:1])).tobytes() == wanted[:1].tobytes()


def test_shuffled_padded_batched_and_split_in_any_way(predictor, some_examples, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 250)  # so that some calls are two chunks and some are one
    examples = some_examples(400, 11)
    wanted = predictor.predict_probs(examples)
    rng = np.random.default_rng(5)
    for number in range(12):  # each number of workers four times, twice with repeats left out
        order = rng.permutation(len(examples))
        cuts = np.sort(rng.integers(0, len(examples), int(rng.integers(0, 12))))
        other = Predictor(predictor.artifact, 1 + number % 3, deduplicate=number % 2 == 0)
        parts = [other.predict_probs([examples[i] for i in rows]) for rows in np.split(order, cuts)]
        other.close()
        assert np.concatenate(parts).tobytes() == wanted[order].tobytes()


def _pickled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - made here


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_fork_of_a_used_predictor_predicts(predictor, alone):
    examples, wanted = alone
    predictor.predict_logits(examples)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send(predictor.predict_logits(examples).tobytes()))
    child.start()
    assert ours.poll(600)
    assert ours.recv() == wanted.tobytes()
    child.join()


def test_a_fork_while_another_thread_holds_the_locks_predicts(artifact_folder, alone):
    # Unused, so that a session and threads are still to be made, under locks that nobody releases.
    examples, wanted = alone
    unused = Predictor(load_artifact(artifact_folder), workers=2)
    with unused.scorer._lock, unused.scorer._model._lock:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=lambda: theirs.send(unused.predict_logits(examples).tobytes()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        assert ours.poll(600)
        assert ours.recv() == wanted.tobytes()
    child.join()


def test_a_spawned_process_predicts(predictor, alone):
    examples, wanted = alone
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        found = processes.submit(predictor.predict_logits, examples).result(timeout=600)
    assert found.tobytes() == wanted.tobytes()


def test_a_stream_gives_what_predict_gives_and_takes_one_chunk_at_a_time(predictor, some_examples):
    examples = some_examples(60, 12) * 2
    taken = []

    def pairs():
        for i, e in enumerate(examples):
            taken.append(i)
            yield (e.text, e.term) if e.text.find(e.term) == e.start else (e.text, e.term, e.start, e.end)

    wanted = predictor.predict(
        [e.text for e in examples], [e.term for e in examples], [(e.start, e.end) for e in examples]
    )
    stream = predictor.predict_stream(pairs(), chunk=50)
    assert taken == []
    assert next(stream) == wanted[0]
    assert len(taken) == 50
    assert [wanted[0], *stream] == wanted
    assert list(predictor.predict_stream([])) == []


def test_a_stream_computes_equal_pairs_of_a_chunk_once(artifact_folder, monkeypatch):
    predictor = Predictor(load_artifact(artifact_folder), 1)
    seen = []
    real = predictor.scorer._model.run_pass
    monkeypatch.setattr(
        predictor.scorer._model,
        "run_pass",
        lambda rows, high_precision: (
            ([] if high_precision else seen).extend(rows) or real(rows, high_precision=high_precision)
        ),
    )
    answers = list(predictor.predict_stream([("香味很好", "香味")] * 30, chunk=10))
    assert len(seen) == 3
    assert answers == answers[:1] * 30


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("香味很好", "口红"), "pair 3: its term .* does not occur"),
        (("香味很好", "香味", 1, 3), "pair 3: .*is not at 1:3"),
        (("香味很好",), "pair 3 is no"),
        (("香味很好", None), "pair 3: its term is None"),
        (("香味很好", "香味", 0), "pair 3 is no"),
        ("香味", "pair 3 is no"),
    ],
)
def test_a_bad_pair_of_a_stream_is_named(predictor, pair, said):
    stream = predictor.predict_stream([("香味很好", "香味")] * 3 + [pair], chunk=2)
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(DataError, match=said) as caught:
        next(stream)
    assert "很好" not in str(caught.value)


def test_a_stream_needs_a_chunk(predictor):
    with pytest.raises(DataError, match="chunk = 0"):
        predictor.predict_stream([], chunk=0)


def test_a_stream_of_single_sentences(single_folder):
    predictor = attar.load(single_folder, workers=1)
    assert list(predictor.predict_stream([("香味很好", "")])) == predictor.predict(["香味很好"])


def test_batches_hold_every_row_once_and_little_padding(predictor, some_examples):
    encodings = predictor.scorer.encoder.encode(some_examples(400, 2))
    batches = list(length_batches(encodings))
    assert sorted(i for rows in batches for i in rows) == list(range(400))
    padded = sum(len(rows) * len(encodings[rows[0]].ids) for rows in batches)
    assert padded < 1.1 * sum(len(e.ids) for e in encodings)
    assert all(len(rows) * len(encodings[rows[0]].ids) <= module._BATCH_TOKENS for rows in batches)


@pytest.mark.parametrize("lengths", [[70, 12, 38, 40, 69, 13, 38], [5] * 9, [600, 30, 600], [20]])
def test_no_cut_of_a_few_examples_is_cheaper(lengths):
    encodings = [Encoding(np.zeros(length, np.int32), length) for length in lengths]
    ordered = sorted(lengths, reverse=True)

    def cost(sizes):
        ends = list(accumulate(sizes))
        padded = [size * ordered[end - size] for size, end in zip(sizes, ends, strict=True)]
        allowed = all(
            size == 1 or tokens <= module._BATCH_TOKENS for size, tokens in zip(sizes, padded, strict=True)
        )
        return sum(padded) + module._CALL_TOKENS * len(sizes) if allowed else math.inf

    def cuts(count):
        if count == 0:
            yield []
        for size in range(1, count + 1):
            yield from ([size, *rest] for rest in cuts(count - size))

    batches = list(length_batches(encodings))
    assert [lengths[i] for rows in batches for i in rows] == ordered
    assert cost([len(rows) for rows in batches]) == min(map(cost, cuts(len(lengths))))


def test_softmax_is_stable():
    found = softmax(np.array([[1e4, 0, -1e4], [0, 0, 0]], np.float32), 2.0)
    np.testing.assert_allclose(found, [[1, 0, 0], [1 / 3] * 3], atol=1e-7)


def test_a_damaged_graph_or_tokenizer_is_an_artifact_error(artifact_folder, tmp_path, edit_card):
    for name, said in (
        ("model.onnx", "was not run: damaged"),
        ("tokenizer.json", "cannot be read"),
    ):
        folder = tmp_path / name
        shutil.copytree(artifact_folder, folder)
        (folder / name).write_text("{}")
        edit_card(folder)
        with pytest.raises(ArtifactError, match=said):
            attar.load(folder).predict(["香味"], ["香味"])


def test_scoring_needs_no_training_packages(artifact_folder, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "香味很好", "term": "香味"}\n', "utf-8")
    program = f"""
import sys, attar
from pathlib import Path
from attar.scoring.stage import score_file
predictor = attar.load({str(artifact_folder)!r})
predictor.predict(["香味很好"], ["香味"])
score_file(predictor, Path({str(source)!r}), Path({str(tmp_path / "out.parquet")!r}))
heavy = {{"torch", "transformers", "sklearn", "onnx", "accelerate"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.parquet").is_file()


def test_load_is_the_only_lazy_name():
    assert attar.load is load
    with pytest.raises(AttributeError, match="nonsense"):
        _ = attar.nonsense


def test_workers_are_those_asked_for_or_of_the_environment(single_folder, monkeypatch):
    monkeypatch.setenv("ATTAR_WORKERS", "5")
    assert attar.load(single_folder).workers == 5
    assert attar.load(single_folder, workers=3).workers == 3
    with pytest.raises(attar.AttarError, match="workers = 0"):
        attar.load(single_folder, workers=0)
    monkeypatch.setenv("ATTAR_WORKERS", "0")
    with pytest.raises(attar.AttarError, match="ATTAR_WORKERS is '0'"):
        attar.load(single_folder)
