"""Hostile artifacts: each is a good one with one thing that a stranger may have put there.

Its hashes and its seal are made again, so that nothing but the thing itself can give it away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from attar.io.files import file_hash
from attar.io.sealed import sealed

__all__ = ["HOSTILE_ARTIFACTS", "reseal"]

_Change = Callable[[Path], object]


def reseal(folder: Path, **changes: Any) -> None:  # noqa: ANN401 - JSON is any
    """Write attar.json with some changes, right hashes and a right seal."""
    path = folder / "attar.json"
    card = json.loads(path.read_text("utf-8")) | changes
    names = [name for name in card["files"] if (folder / name).is_file()]
    if "files" not in changes:
        card["files"] |= {name: file_hash(folder / name) for name in names}
    path.write_text(json.dumps(sealed(card)), "utf-8")


def _card(part: str, value: object) -> _Change:
    """Another value in attar.json, at a place such as ``input.max_tokens``."""

    def change(folder: Path) -> None:
        card = json.loads((folder / "attar.json").read_text("utf-8"))
        first, _, rest = part.partition(".")
        reseal(folder, **{first: card[first] | {rest: value} if rest else value})

    return change


def _text(name: str, make: Callable[[str], str]) -> _Change:
    """Another text of a file; attar.json is left as it is where it is that file."""

    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(make(path.read_text("utf-8")), "utf-8")
        if name != "attar.json":
            reseal(folder)

    return change


def _graph(make: Callable[[onnx.ModelProto], object]) -> _Change:
    def change(folder: Path) -> None:
        proto = onnx.load(folder / "model.onnx")
        make(proto)
        (folder / "model.onnx").write_bytes(proto.SerializeToString())
        reseal(folder)

    return change


def _tokenizer(make: Callable[[dict[str, Any]], object]) -> _Change:
    def change(folder: Path) -> None:
        path = folder / "tokenizer.json"
        tree = json.loads(path.read_text("utf-8"))
        make(tree)
        path.write_text(json.dumps(tree), "utf-8")
        reseal(folder)

    return change


def _part(proto: onnx.ModelProto) -> onnx.GraphProto:
    """The graph whose nodes compute: the first branch where there are two passes."""
    first = proto.graph.node[0]
    return first.attribute[0].g if first.op_type == "If" else proto.graph


def _add_node(op: str, domain: str = "", **attributes: Any) -> Callable[[onnx.ModelProto], object]:  # noqa: ANN401
    node = helper.make_node(op, ["input_ids"], ["more"], domain=domain, **attributes)
    return lambda proto: _part(proto).node.insert(0, node)


def _loop(proto: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [])
    _part(proto).node.append(
        helper.make_node("Loop", ["", ""], ["y"], body=helper.make_graph([], "b", [], [value]))
    )


def _nested_if(proto: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "b", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [])])
    _part(proto).node.append(helper.make_node("If", ["fine"], ["y"], then_branch=branch, else_branch=branch))


def _external(location: str) -> Callable[[onnx.ModelProto], object]:
    def make(proto: onnx.ModelProto) -> None:
        constant = proto.graph.initializer[0]
        constant.ClearField("raw_data")
        constant.data_location = TensorProto.EXTERNAL
        constant.external_data.add(key="location", value=location)

    return make


def _constant(name: str, value: np.ndarray) -> Callable[[onnx.ModelProto], object]:
    """Other values of a constant, by the beginning of its name."""

    def make(proto: onnx.ModelProto) -> None:
        found = next(one for one in proto.graph.initializer if one.name.startswith(name))
        filled = np.broadcast_to(value, numpy_helper.to_array(found).shape) if value.ndim == 0 else value
        found.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(filled), found.name))

    return make


def _dims(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]


def _growing(proto: onnx.ModelProto) -> None:
    """Additions that each square the size of what they read."""
    graph = _part(proto)
    shapes = {"column": [-1, 1], "row": [1, -1]}
    proto.graph.initializer.extend(numpy_helper.from_array(np.array(v), n) for n, v in shapes.items())
    last, nodes = graph.node[-1].input[0], []
    for i in range(8):
        nodes += [helper.make_node("Reshape", [last, n], [f"{n}{i}"]) for n in shapes]
        last = f"grown{i}"
        nodes.append(helper.make_node("Add", [f"column{i}", f"row{i}"], [last]))
    graph.node.extend(nodes)


def _twice(proto: onnx.ModelProto) -> None:
    _part(proto).node.append(_part(proto).node[0])


def _inputs(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["B"]))


def _fixed(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def _output(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def _opset(domain: str, version: int) -> Callable[[onnx.ModelProto], object]:
    def make(proto: onnx.ModelProto) -> None:
        for one in list(proto.opset_import):
            if one.domain == domain:
                proto.opset_import.remove(one)
        proto.opset_import.append(helper.make_opsetid(domain, version))

    return make


def _metadata(key: str, value: str) -> Callable[[onnx.ModelProto], object]:
    def make(proto: onnx.ModelProto) -> None:
        told = {one.key: one.value for one in proto.metadata_props} | {key: value}
        helper.set_model_props(proto, told)

    return make


def _function(proto: onnx.ModelProto) -> None:
    proto.functions.append(
        helper.make_function("own", "f", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [])
    )


def _replace(content: str, pattern: Mapping[str, str], times: int = 1) -> Callable[[dict[str, Any]], object]:
    steps = [{"type": "Replace", "pattern": dict(pattern), "content": content}] * times
    return lambda tree: tree.update(normalizer={"type": "Sequence", "normalizers": steps})


def _padded(tree: dict[str, Any]) -> None:
    tree["padding"] = {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None}
    tree["padding"] |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}


def _split(tree: dict[str, Any]) -> None:
    pattern = {"Regex": "(a|a)*b"}
    tree["pre_tokenizer"] = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def _bare(tree: dict[str, Any]) -> None:
    tree["added_tokens"], tree["model"]["vocab"] = [], {"a": 0, "[UNK]": 1}


def _bytes(name: str, content: bytes) -> _Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if name != "attar.json":
            reseal(folder)

    return change


def _front(more: str) -> Callable[[str], str]:
    """Something before the first key of an object."""
    return lambda text: "{" + more + text.lstrip()[1:]


def _link(folder: Path) -> None:
    target = folder.with_name(f"{folder.name}-outside")
    (folder / "model.onnx").rename(target)
    (folder / "model.onnx").symlink_to(target)


def _device(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/dev/zero")


def _pipe(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def _sparse(name: str, size: int) -> _Change:
    return lambda folder: os.truncate(folder / name, size)


def _folder(name: str) -> _Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


HOSTILE_ARTIFACTS: Mapping[str, _Change] = {
    # attar.json
    "card: a temperature of 0": _card("temperature", 0),
    "card: a temperature of 1e-300": _card("temperature", 1e-300),
    "card: a temperature that is NaN": _text(
        "attar.json", lambda t: t.replace('"temperature":', '"temperature": NaN, "x":')
    ),
    "card: a temperature of text": _card("temperature", "1"),
    "card: a file that leads out": _card("files.../../etc/passwd", "0" * 64),
    "card: an absolute file": _card("files./etc/passwd", "0" * 64),
    "card: a hash that is none": _card("files.model.onnx", "0"),
    "card: no labels": _card("task.labels", []),
    "card: the same label twice": _card("task.labels", ["坏", "坏", "好"]),
    "card: one label more": _card("task.labels", ["坏", "中", "好", "更好"]),
    "card: labels in another order": _card("task.labels", ["好", "中", "坏"]),
    "card: a label that clears the screen": _card("task.labels", ["\x1b[2J", "中", "好"]),
    "card: an unknown style": _card("task.style", "shell"),
    "card: 10^9 tokens": _card("input.max_tokens", 10**9),
    "card: as many tokens as there are no positions for": _card("input.max_tokens", 4096),
    "card: no tokens": _card("input.max_tokens", 0),
    "card: an unknown normalisation": _card("input.normalise", ["exec"]),
    "card: an unknown key": _card("auto_map", {"AutoModel": "evil.Model"}),
    "card: nested 100,000 deep": _text(
        "attar.json", _front('"notes":' + "[" * 100_000 + "]" * 100_000 + ",")
    ),
    "card: a list": _text("attar.json", lambda t: f"[{t}]"),
    "card: not UTF-8": _bytes("attar.json", b'{"format": "\xff\xfe"}'),
    "card: a key twice": _text("attar.json", _front('"temperature": 5,')),
    "card: a number of 5,000 digits": _text("attar.json", _front('"x": ' + "9" * 5000 + ",")),
    "card: 17 MB": _text("attar.json", lambda t: t + " " * (17 << 20)),
    "card: changed, its seal not": _text("attar.json", lambda t: t.replace('"坏"', '"佳"', 1)),
    # model.onnx
    "model: a Loop": _graph(_loop),
    "model: an If within": _graph(_nested_if),
    "model: a Scan": _graph(_add_node("Scan")),
    "model: an operation of text": _graph(_add_node("StringNormalizer")),
    "model: an operation of another domain": _graph(_add_node("PyOp", domain="ai.onnx.contrib")),
    "model: an operation of Microsoft's that decodes": _graph(
        _add_node("ImageDecoder", domain="com.microsoft")
    ),
    "model: ConstantOfShape": _graph(_add_node("ConstantOfShape")),
    "model: Expand": _graph(_add_node("Expand")),
    "model: a function of its own": _graph(_function),
    "model: weights from another file": _graph(_external("weights.bin")),
    "model: weights from /etc/passwd": _graph(_external("/etc/passwd")),
    "model: weights from a folder above": _graph(_external("../../secret")),
    "model: weights of 2^60 values": _graph(_dims),
    "model: additions that square their size": _graph(_growing),
    "model: a node twice": _graph(_twice),
    "model: another input": _graph(_inputs),
    "model: a batch of fixed size": _graph(_fixed),
    "model: seven labels": _graph(_output),
    "model: op set 1": _graph(_opset("", 1)),
    "model: op set 99": _graph(_opset("", 99)),
    "model: the op set of a plug-in": _graph(_opset("ai.onnx.contrib", 1)),
    "model: a margin that is NaN": _graph(_metadata("attar.tie_margin", "nan")),
    "model: a margin of text": _graph(_metadata("attar.tie_margin", "wide")),
    "model: written for other labels": _graph(_metadata("attar.labels", '["a", "b", "c"]')),
    "model: NaN in its weights": _graph(_constant("head.classifier.bias", np.array(np.nan, np.float32))),
    "model: infinity in its weights": _graph(_constant("head.classifier.bias", np.array(np.inf, np.float32))),
    "model: fewer positions than tokens": _graph(_constant("positions", np.zeros((4, 36), np.float32))),
    "model: empty": _bytes("model.onnx", b""),
    "model: a pickle": _bytes("model.onnx", b"cos\nsystem\n(S'id'\ntR."),
    # tokenizer.json
    "tokenizer: an id beyond the embedding": _tokenizer(lambda t: t["model"]["vocab"].update(香=10**6)),
    "tokenizer: an id below 0": _tokenizer(lambda t: t["model"]["vocab"].update(香=-1)),
    "tokenizer: two tokens of one id": _tokenizer(lambda t: t["model"]["vocab"].update(新=0)),
    "tokenizer: an added token beyond the embedding": _tokenizer(
        lambda t: t["added_tokens"].append({**t["added_tokens"][0], "id": 10**6, "content": "[X]"})
    ),
    "tokenizer: a normaliser that doubles 40 times": _tokenizer(_replace("好好", {"String": "好"}, 19)),
    "tokenizer: a normaliser that writes a megabyte": _tokenizer(_replace("x" * 1_000_000, {"String": "好"})),
    "tokenizer: an expression that takes for ever": _tokenizer(_replace("", {"Regex": "(a+)+$"})),
    "tokenizer: an unknown normaliser": _tokenizer(lambda t: t.update(normalizer={"type": "Exec"})),
    "tokenizer: pads to 10^9": _tokenizer(_padded),
    "tokenizer: words of 10^9 characters": _tokenizer(
        lambda t: t["model"].update(max_input_chars_per_word=10**9)
    ),
    "tokenizer: splits at any expression": _tokenizer(_split),
    "tokenizer: no special tokens": _tokenizer(_bare),
    "tokenizer: a list": _text("tokenizer.json", lambda _: "[]"),
    "tokenizer: nested 100,000 deep": _text("tokenizer.json", lambda _: "[" * 100_000),
    # files
    "files: the model is a link": _link,
    "files: the card is /dev/zero": _device,
    "files: the tokenizer is a pipe": _pipe,
    "files: a model of 4 GB that is all holes": _sparse("model.onnx", 4 << 30),
    "files: a tokenizer of 4 GB": _sparse("tokenizer.json", 4 << 30),
    "files: a folder for the model": _folder("model.onnx"),
    "files: a folder for the card": _folder("attar.json"),
    "files: checks of lists 100,000 deep": _text("checks.json", lambda _: "[" * 100_000),
    "files: checks of other ids": _text(
        "checks.json", lambda t: t.replace('"inputs": [[[', '"inputs": [[[99999999, ')
    ),
    "files: checks without logits": _text(
        "checks.json", lambda _: '{"tolerance": {}, "inputs": [], "passes": []}'
    ),
}
"""What is changed, and how; every one is to be refused in words before it computes anything for a user."""
