"""The original's two services, as a client that knows their routes alone sees them."""

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import torch
from fastapi.testclient import TestClient

from attar.classic.checkpoint import load_classic, save_classic
from attar.classic.files import ClassicFiles, write_card
from attar.classic.routes import create_classic_app
from attar.errors import CheckpointError, DataError, RecipeError, RunError
from attar.models.checkpoint import predict_logits, save_checkpoint
from attar.scoring.predictor import softmax
from attar.serving.limits import CLASSIC_LIMITS
from attar.task import Example, task_by_name

CLASSIC = Path(__file__).parents[2] / "classic"
TEXT = "口红好，香味不好，口红差。"
PREDICT = ("predict", "predict_truncate", "predict_truncate_model", "predict_macbert", "predict_albert")
SERVICES = {"cosmetics": ("api_absa", 5000), "components": ("api_components", 5010)}


@pytest.fixture(scope="module", autouse=True)
def on_path():
    before = list(sys.path)
    sys.path.insert(0, str(CLASSIC))
    yield
    sys.path[:] = before


@pytest.fixture(scope="module")
def files(tmp_path_factory, make_model, encoder_folder):
    """``files(task)``: weights, config and vocab of a tiny classic model, and an encoder to start from."""
    made = {}

    def make(task_name):
        if task_name in made:
            return made[task_name]
        folder = tmp_path_factory.mktemp(task_name)
        kind = "bert" if task_name == "cosmetics" else "electra"
        model = make_model(kind, seed=3, num_labels=len(task_by_name(task_name).labels))
        model.config.to_json_file(folder / "config.json", use_diff=False)
        (folder / "vocab.txt").write_bytes((encoder_folder / "vocab.txt").read_bytes())
        torch.save(model.state_dict(), folder / "gs7.pkl")
        made[task_name] = tuple(folder / name for name in ("gs7.pkl", "config.json", "vocab.txt"))
        return made[task_name]

    return make


def flags(paths, folder, *more):
    return [
        "--model",
        *map(str, paths),
        "--output_dir",
        str(folder),
        "--max_seq_length",
        "40",
        *map(str, more),
    ]


@contextlib.contextmanager
def opened(folder):
    """``make(task, *flags)``: what a service asks, with the flags of its command line given in ``folder``."""
    closing = []

    def make(task_name, *given):
        from original.service import models_of, read_flags

        defaults = runpy.run_path(str(CLASSIC / f"{SERVICES[task_name][0]}.py"), run_name="api")["DEFAULTS"]
        made, close = models_of(read_flags(defaults, list(map(str, given))))
        closing.append(close)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        try:
            yield make
        finally:
            for close in closing:
                close()


@pytest.fixture
def models(tmp_path):
    """``models(task, *flags)``, as ``opened`` makes them."""
    with opened(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def client(files, tmp_path_factory):
    """Of one service whose training is never reached."""
    folder = tmp_path_factory.mktemp("service")
    with opened(folder) as make:
        made = make("cosmetics", *flags(files("cosmetics"), folder / "t"))
        with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
            yield client


def post(client, route, rows):
    return client.post(f"/api/{route}", json={"data": rows})


def probs_of(paths, examples, task="cosmetics", *, marks=True):
    weights, config, vocab = paths
    checkpoint = load_classic(ClassicFiles(config, vocab, weights, marks=marks), task_by_name(task), 40)
    return softmax(predict_logits(checkpoint, examples), 1.0)


def labelled(make_examples, count=30):
    return [[e.text, e.term, e.start, e.end, e.label, "京东", "产品"] for e in make_examples(count)]


@pytest.mark.parametrize("flag", ["auto", "on", "off"])
def test_every_shape_gets_the_probs_of_the_model(models, files, tmp_path, flag):
    spans = [(0, 2), (9, 11), (4, 6)]
    # Rows without offsets came before the marks: of those only --marks on says where they belong.
    plain_probs = probs_of(files("cosmetics"), [Example(TEXT, 0, 2), Example(TEXT, 4, 6)], marks=flag == "on")
    probs = probs_of(files("cosmetics"), [Example(TEXT, *span) for span in spans], marks=flag != "off")
    assert np.abs(plain_probs - probs[[0, 2]]).max() > 1e-3 or flag != "auto"
    labels = [task_by_name("cosmetics").labels[at] for at in probs.argmax(1)]
    plain_labels = [task_by_name("cosmetics").labels[at] for at in plain_probs.argmax(1)]
    made = models("cosmetics", *flags(files("cosmetics"), tmp_path / "t", "--marks", flag))
    mark = "" if flag == "off" else "_"
    with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
        plain = post(client, "predict", [[TEXT, "口红"]]).json()
        assert plain == [[plain_labels[0], pytest.approx(plain_probs[0].max(), abs=1e-5), [TEXT, "口红"]]]
        (found,) = [post(client, "predict_truncate", [[TEXT, "口红"]]).json()]
        assert [row[3] for row in found] == [[0, 2], [9, 11]]
        assert [row[0] for row in found] == labels[:2]
        assert found[1][2] == [f"口红好，香味不好，{mark}口红{mark}差。", "口红"]
        for row in (
            [TEXT, "香味", 4, 6],
            [TEXT, "香味", 4, 6, "积极"],
            [TEXT, "香味", 4, 6, "积极", "京东", "气味"],
        ):
            ((label, prob, (cut, keyword), place),) = post(client, "predict_truncate", [row]).json()
            assert (label, keyword, place) == (labels[2], "香味", [4, 6])
            assert prob == pytest.approx(probs[2].max(), abs=1e-5)
            assert cut == f"口红好，{mark}香味{mark}不好，口红差。"
        for route in ("predict_macbert", "predict_albert"):
            ((label, prob, row),) = post(client, route, [[TEXT, "香味", "积极"]]).json()
            assert (label, row) == (plain_labels[1], [TEXT, "香味", "积极"])
            assert prob == pytest.approx(plain_probs[1].max(), abs=1e-5)


def test_the_card_of_a_checkpoint_decides_for_every_row(models, files, tmp_path, caplog):
    weights, config, vocab = files("cosmetics")
    ours = tmp_path / "gs9.pkl"
    ours.write_bytes(weights.read_bytes())
    write_card(ours, {"marks": False, "max_seq_length": 40})
    given = ["--model", ours, config, vocab, "--output_dir", tmp_path / "t"]
    with caplog.at_level("INFO"), TestClient(
        create_classic_app(models("cosmetics", *given), limits=CLASSIC_LIMITS)
    ) as client:  # fmt: skip
        (found,) = post(client, "predict_truncate", [[TEXT, "香味", 4, 6]]).json()
    wanted = probs_of(files("cosmetics"), [Example(TEXT, 4, 6)], marks=False)
    assert found[1] == pytest.approx(wanted.max(), abs=1e-5)
    assert "read without marks, gs9.json says so" in caplog.text


def test_a_keyword_that_does_not_occur_is_handled_as_in_the_original(client, files):
    weights, config, vocab = files("cosmetics")
    checkpoint = load_classic(ClassicFiles(config, vocab, weights), task_by_name("cosmetics"), 40)
    ((label, prob, row),) = post(client, "predict", [[TEXT, "眼影"]]).json()
    (encoding,) = checkpoint.encoder.encode([Example(TEXT, 0, 0, second="眼影")])
    tokens = checkpoint.encoder.tokenizer
    assert [tokens.id_to_token(i) for i in encoding.ids] == ["[CLS]", *_tokens(tokens, TEXT), "[SEP]",
        *_tokens(tokens, "眼影"), "[SEP]"]  # fmt: skip
    wanted = softmax(predict_logits(checkpoint, [Example(TEXT, 0, 0, second="眼影")]), 1.0)
    assert (label, row) == (task_by_name("cosmetics").labels[wanted.argmax()], [TEXT, "眼影"])
    assert prob == pytest.approx(wanted.max(), abs=1e-5)
    assert post(client, "predict_truncate", [[TEXT, "眼影"]]).json() == []


def _tokens(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).tokens


WRONG = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b"\xff\xfe",
    *(json.dumps({"data": rows}).encode() for rows in (3, {"a": 1})),
]


@pytest.mark.parametrize("route", [*PREDICT, "train", "train_truncate"])
@pytest.mark.parametrize("body", WRONG)
def test_a_bad_request_gets_a_reason(client, route, body):
    reply = client.post(f"/api/{route}", content=body)
    assert reply.status_code == 400
    assert set(reply.json()) == {"code", "message"}


def test_components_labels_are_in_the_original_order(models, files, tmp_path):
    made = models("components", *flags(files("components"), tmp_path / "t"))
    examples = [Example(TEXT, 0, 2), Example(TEXT, 4, 6)]
    raw = probs_of(files("components"), examples, "components")
    with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
        found = post(client, "predict_truncate", [[TEXT, "口红", 0, 2], [TEXT, "香味", 4, 6]]).json()
        assert [row[0] for row in found] == [("否", "是")[at] for at in raw.argmax(1)]
        assert post(client, "predict_albert", [[TEXT, "香味", "是"]]).status_code == 200


def test_each_route_has_its_own_model(models, files, tmp_path, make_model):
    weights, config, vocab = files("cosmetics")
    other = tmp_path / "other.pkl"
    torch.save(make_model("bert", seed=8).state_dict(), other)
    folder = tmp_path / "f"
    save_checkpoint(load_classic(ClassicFiles(config, vocab, other), task_by_name("cosmetics"), 40), folder)
    made = models(
        "cosmetics", *flags((weights, config, vocab), tmp_path / "t"),
        "--macbert", other, config, vocab, "--albert", folder,
    )  # fmt: skip
    with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
        row = [TEXT, "香味", "积极"]
        found = {
            route: post(client, route, [row]).json()[0][1] for route in ("predict_macbert", "predict_albert")
        }
        found["predict"] = post(client, "predict", [row[:2]]).json()[0][1]
    example = [Example(TEXT, 4, 6)]
    unmarked = probs_of(files("cosmetics"), example, marks=False).max()
    assert found["predict"] == pytest.approx(unmarked, abs=1e-5)
    wanted = probs_of((other, config, vocab), example, marks=False).max()
    assert found["predict_macbert"] == pytest.approx(wanted, abs=1e-5)
    assert found["predict_albert"] == pytest.approx(wanted, abs=1e-5)
    assert found["predict"] != pytest.approx(wanted, abs=1e-3)


def test_an_artifact_serves_without_torch_weights(models, tmp_path, make_checkpoint, make_examples):
    from attar.export.stage import export_checkpoint
    from attar.recipe.load import ExportRecipe

    lenient = ExportRecipe(max_flips=1.0, max_f1_loss=1.0)
    artifact = export_checkpoint(make_checkpoint(), make_examples(30), tmp_path / "artifact", lenient, {})
    made = models("cosmetics", *flags([artifact], tmp_path / "t"))
    with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
        assert len(post(client, "predict_truncate", [[TEXT, "口红"]]).json()) == 2
        assert post(client, "train", [[TEXT, "口红", "积极"]] * 4).status_code == 404
        assert post(client, "predict_truncate_model", [[TEXT, "口红"]]).status_code == 404
        rows = labelled(make_examples, 6)
        said = post(client, "predict_macbert", rows).json()
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    main = runpy.run_path(str(CLASSIC / "utils" / "compare_components.py"), run_name="tool")["main"]
    main([str(tmp_path / "rows.json"), "--task_name", "cosmetics", "--artifact", str(artifact)])
    _, *found = openpyxl.load_workbook(tmp_path / "result.xlsx").active.iter_rows(values_only=True)
    assert [row[3] for row in found] == [row[0] for row in said]
    np.testing.assert_allclose([row[4] for row in found], [row[1] for row in said], atol=1e-5)


def test_training_makes_the_newest_checkpoint(models, files, tmp_path, make_examples):
    weights, config, vocab = files("cosmetics")
    made = models("cosmetics", *flags((weights, config, vocab), tmp_path / "t", "--learning_rate", "1e-2"))
    rows = labelled(make_examples)
    ask = [[TEXT, "口红"]]
    with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
        assert post(client, "predict_truncate_model", ask).status_code == 404
        before = post(client, "predict_truncate", ask).json()
        reply = post(client, "train_truncate", rows)
        assert (reply.status_code, reply.json()) == (200, "Done")
        newest = post(client, "predict_truncate_model", ask)
        assert post(client, "predict_truncate", ask).json() == before
    (run,) = (tmp_path / "t").iterdir()
    # 27 rows of 30 train, in batches of 8, one epoch.
    assert (run.name, [path.name for path in run.glob("gs*.pkl")]) == ("0001", ["gs3.pkl"])
    assert [len(json.loads((run / "data" / f"{s}.json").read_text("utf-8"))) for s in ("train", "dev")] == [
        27,
        3,
    ]
    wanted = probs_of(
        (run / "gs3.pkl", run / "config.json", run / "vocab.txt"), [Example(TEXT, 0, 2), Example(TEXT, 9, 11)]
    )
    np.testing.assert_allclose([row[1] for row in newest.json()], wanted.max(1), atol=1e-5)
    assert np.abs(np.array([row[1] for row in before]) - wanted.max(1)).max() > 1e-3
    assert (run / "eval_results-cosmetics.txt").is_file()


class Recorded:
    """A trainer's process: writes what it should, or fails as it should."""

    def __init__(self, weights, *, code=0, stderr=""):
        self.weights, self.code, self.stderr, self.calls = weights, code, stderr, []

    def __call__(self, command, **_):
        self.calls.append(command)
        out = Path(command[command.index("--output_dir") + 1])
        if self.weights is not None:
            (out / f"gs{10 * len(self.calls)}.pkl").write_bytes(self.weights.read_bytes())
        self.returncode = self.code
        return self

    def communicate(self):
        return None, self.stderr


@pytest.fixture
def make_service(files, tmp_path):
    """``make_service(**settings)``: a service that trains in ``tmp_path / "t"``."""
    from original.service_training import StartFiles, TrainingService, TrainSettings

    def make(**settings):
        weights, config, vocab = files("cosmetics")
        start = StartFiles(weights, config, vocab, "bert", is_whole=True)
        return TrainingService(start, TrainSettings("cosmetics", 40), tmp_path / "t", **settings)

    return make


@pytest.fixture
def service(make_service):
    return make_service()


def test_the_newest_training_counts_and_is_loaded_once(service, files, monkeypatch, make_examples):
    from original.service_models import ModelReader, Newest

    examples = make_examples(12)
    monkeypatch.setattr(subprocess, "Popen", Recorded(files("cosmetics")[0]))
    newest = Newest(service.newest, ModelReader(task_by_name("cosmetics"), 40))
    assert newest() is None
    service(examples[:10], examples[10:])
    first = newest()
    assert newest() is first
    service(examples[:10], examples[10:])
    assert newest() is not first
    assert service.newest()[0].parts[-2:] == ("0002", "gs20.pkl")


@pytest.mark.parametrize("weights", [True, False])
def test_a_failed_training_leaves_the_newest_as_it_was(service, files, monkeypatch, make_examples, weights):
    examples = make_examples(12)
    ours = files("cosmetics")[0]
    monkeypatch.setattr(subprocess, "Popen", Recorded(ours))
    service(examples[:10], examples[10:])
    said = (
        "2026/01/01 00:00:00 - INFO - Main -  device\n2026/01/01 00:00:00 - ERROR - Main -  no space left\n"
    )
    failing = Recorded(ours, code=2, stderr=said) if weights else Recorded(None)
    monkeypatch.setattr(subprocess, "Popen", failing)
    with pytest.raises(CheckpointError, match="no space left" if weights else r"wrote no gs\*\.pkl"):
        service(examples[:10], examples[10:])
    assert service.newest()[0].parts[-2:] == ("0001", "gs10.pkl")
    monkeypatch.setattr(subprocess, "Popen", Recorded(ours))
    service(examples[:10], examples[10:])
    assert service.newest()[0].parent.name == "0002"
    assert not list(service.newest()[0].parents[1].glob("*.part"))


def test_rows_that_contradict_each_other_are_a_client_error(models, files, tmp_path):
    made = models("cosmetics", *flags(files("cosmetics"), tmp_path / "t"))
    rows = [[TEXT, "口红", "积极"], [TEXT, "口红", "消极"]] * 5
    with TestClient(create_classic_app(made, limits=CLASSIC_LIMITS)) as client:
        reply = post(client, "train", rows)
    assert reply.status_code == 400
    assert "train.json: none of its rows" in reply.json()["message"]
    assert str(tmp_path) not in reply.text
    assert TEXT not in reply.text


def test_few_rows_are_one_batch(service, files, monkeypatch, make_examples):
    process = Recorded(files("cosmetics")[0])
    monkeypatch.setattr(subprocess, "Popen", process)
    examples = make_examples(5)
    service(examples[:4], examples[4:])
    (command,) = process.calls
    assert command[command.index("--train_batch_size") + 1] == "4"
    assert command[command.index("--tuned_checkpoint_S") + 1] == str(files("cosmetics")[0])
    service.close()
    with pytest.raises(CheckpointError, match="ending"):
        service(examples[:4], examples[4:])


def test_an_ending_service_ends_its_training(make_service, tmp_path, make_examples):
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\ntime.sleep(3600)\n", "utf-8")
    service = make_service(trainer=sleeper)
    examples, failures = make_examples(12), []

    def train():
        try:
            service(examples[:10], examples[10:])
        except CheckpointError as error:
            failures.append(str(error))

    thread = threading.Thread(target=train)
    thread.start()
    while service._process is None:
        time.sleep(0.01)
    service.close()
    thread.join(600)
    assert failures == ["main.trainer.py ended with -15: nothing in its log"]
    assert service.newest() is None


def test_a_start_is_the_encoder_or_the_whole_model(models, files, tmp_path, make_checkpoint):
    weights, config, vocab = files("cosmetics")
    whole = models("cosmetics", *flags((weights, config, vocab), tmp_path / "t")).train
    save_classic(make_checkpoint(), tmp_path / "encoder.bin")
    given = ("--train_from", tmp_path / "encoder.bin", config, vocab)
    encoder = models("cosmetics", *flags((weights, config, vocab), tmp_path / "t"), *given).train
    assert "--tuned_checkpoint_S" in whole._start.flags()
    assert encoder._start.flags()[-3:] == ["bert", "--init_checkpoint_S", str(tmp_path / "encoder.bin")]
    assert models("cosmetics", *flags((weights, config, vocab), tmp_path / "t"), "--no_train").train is None


def test_a_service_that_cannot_start_says_why(models, files, tmp_path):
    weights, config, vocab = files("cosmetics")
    for paths, message in (
        ((tmp_path / "none.pkl", config, vocab), "no such file or folder"),
        ((weights, config), "one folder, or weights"),
        ((files("components")[0], config, vocab), "not the weights of"),
    ):
        with pytest.raises(CheckpointError, match=message):
            models("cosmetics", *flags(paths, tmp_path / "t"))


def test_two_services_do_not_train_in_one_folder(service, make_examples, tmp_path):
    from attar.io.locks import locked

    examples = make_examples(12)
    with locked(tmp_path / "t"), pytest.raises(RunError, match="another attar process"):
        service(examples[:10], examples[10:])
    assert service.newest() is None


def test_a_model_of_another_task_is_refused(models, tmp_path, make_checkpoint):
    from attar.models.checkpoint import save_checkpoint

    save_checkpoint(make_checkpoint(task=task_by_name("components")), tmp_path / "f")
    with pytest.raises(RecipeError, match="see --task_name"):
        models("cosmetics", *flags([tmp_path / "f"], tmp_path / "t"))


def test_the_ports_are_the_originals(tmp_path, monkeypatch):
    from original.service import read_flags

    monkeypatch.chdir(tmp_path)
    for script, port in SERVICES.values():
        defaults = runpy.run_path(str(CLASSIC / f"{script}.py"), run_name="api")["DEFAULTS"]
        assert read_flags(defaults, []).port == port


def test_a_real_process_serves_and_ends(files, tmp_path, make_examples, monkeypatch):
    command = [
        sys.executable,
        CLASSIC / "api_absa.py",
        *flags(files("cosmetics"), tmp_path / "t"),
        "--port",
        "0",
    ]
    environment = {**os.environ, "ATTAR_API_KEY": "secret"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    try:
        url = process.stdout.readline().strip().removeprefix("serving: ")
        assert url.startswith("http://127.0.0.1:")
        body = json.dumps({"data": [[TEXT, "口红"]]}).encode()
        request = urllib.request.Request(f"{url}/api/predict", body, {"authorization": "Bearer secret"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=600) as reply:  # noqa: S310
            assert json.load(reply)[0][2] == [TEXT, "口红"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/api/predict", body, timeout=600)  # noqa: S310
        with refused.value as error:
            assert error.code == 401
        ask(url, tmp_path, make_examples, monkeypatch)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=600)
        assert TEXT not in stderr
    finally:
        process.kill()
        process.communicate()


def ask(url, tmp_path, make_examples, monkeypatch):
    """compare_components against the service."""
    rows = labelled(make_examples, 6)
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    main = runpy.run_path(str(CLASSIC / "utils" / "compare_components.py"), run_name="tool")["main"]
    given = [str(tmp_path / "rows.json"), "--task_name", "cosmetics", "--out", str(tmp_path / "x")]
    with pytest.raises(DataError, match="HTTP 401"):
        main([*given, "--url", f"{url}/api/predict_macbert"])
    monkeypatch.setenv("ATTAR_API_KEY", "secret")
    with pytest.raises(DataError, match="HTTP 404"):
        main([*given, "--url", f"{url}/api/none"])
    main([*given, "--url", f"{url}/api/predict_macbert"])
    header, *found = openpyxl.load_workbook(tmp_path / "x" / "result.xlsx").active.iter_rows(values_only=True)
    assert header[:5] == ("text", "keyword", "label", "predict", "probability")
    assert [row[:3] for row in found] == [(row[0], row[1], row[4]) for row in rows]
