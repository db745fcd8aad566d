"""What an artifact's model and tokenizer hold, checked before either runs.

An artifact may be a stranger's. Its model must be of the operations that attar's graphs are made of, in
one file, with the inputs and outputs that its attar.json says, of shapes that fit and do not grow; its
tokenizer of known steps that cannot blow up a text, with ids that the model has rows for. So nothing
that it holds can read a file, loop, or fill the memory.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from attar.artifact import Artifact
from attar.errors import ArtifactError, RecipeError
from attar.io.json_text import parse_json
from attar.scoring.graph_shapes import OPS, check_shapes
from attar.scoring.onnx_file import Graph, Model, Node, Value, parse_model
from attar.scoring.session import HIGH_PRECISION, MARGIN
from attar.text.encoding import InputSpec

__all__ = ["check_model", "load_tokenizer"]

_OPSETS = {"": (21,), "com.microsoft": (1,)}
_IR_VERSIONS = (10,)
_FLOAT, _INT64, _BOOL = 1, 7, 9

_MODELS = ("WordPiece", "BPE", "Unigram", "WordLevel")
_NORMALISERS = (
    "BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend",
    "Replace", "Strip", "StripAccents",
)  # fmt: skip
_PRE_TOKENISERS = (
    "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation", "Whitespace",
    "WhitespaceSplit",
)  # fmt: skip
# Of published tokenizers; any other expression may take for ever on some text.
_PATTERNS = (" {2,}", " +", r"\s+", r"[\n\r\t ]+")
_MAX_STEPS = 20
_MAX_GROWTH = 64  # characters that a normaliser may make of one
_MAX_WORD_CHARS = 1_000  # WordPiece takes quadratic time in them
_MAX_ADDED = 10_000


def check_model(artifact: Artifact) -> int:
    """Check an artifact's ONNX file.

    Returns:
        How many tokens its word embeddings have.

    Raises:
        ArtifactError: It holds what no model of attar's holds, or another model than attar.json says.
    """
    path = artifact.model_path
    try:
        with path.open("rb") as stream:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return _check(artifact, memoryview(content))
    except (OSError, ValueError, RecipeError) as error:
        raise ArtifactError(
            f"{path} was not run: {error}. Expected a model that attar export wrote; copy or export it again"
        ) from error


def _check(artifact: Artifact, content: memoryview) -> int:
    spec = InputSpec.from_json(artifact.input)
    model = parse_model(content)
    _check_versions(model)
    _check_metadata(artifact, model.metadata)
    _check_signature(model.graph, spec, len(artifact.task.labels))
    return _check_graph(model, spec, len(artifact.task.labels))


def _check_versions(model: Model) -> None:
    if model.ir_version not in _IR_VERSIONS:
        raise ValueError(f"IR version {model.ir_version}; expected {_IR_VERSIONS[0]}")
    for domain, version in model.opsets.items():
        if version not in _OPSETS.get(domain, ()):
            raise ValueError(f"op set {domain or 'ai.onnx'} {version}, which attar does not use")
    if "" not in model.opsets:
        raise ValueError("no op set of ONNX")


def _check_metadata(artifact: Artifact, metadata: Mapping[str, str]) -> None:
    """The model file says what it is too (``attar.export.packaging``); an early one says nothing."""
    if MARGIN in metadata:
        margin = float(metadata[MARGIN])
        if not (math.isfinite(margin) and margin >= 0):
            raise ValueError(f"{MARGIN} is {margin}")
    told = {
        "attar.labels": json.dumps(list(artifact.task.labels), ensure_ascii=False, sort_keys=True),
        "attar.input": json.dumps(dict(artifact.input), ensure_ascii=False, sort_keys=True),
    }
    differing = [key for key, value in told.items() if metadata.get(key, value) != value]
    if differing:
        raise ValueError(
            f"its own {', '.join(differing)} are not those of attar.json and tokenizer.json beside it"
        )


def _check_signature(graph: Graph, spec: InputSpec, num_labels: int) -> None:
    names = ["input_ids", "attention_mask"]
    names += ["token_type_ids"] if spec.token_types else []
    names += ["position_ids"] if spec.pooling != "cls" else []
    expected = dict.fromkeys(names, (_INT64, 2))
    found = {name: (value.element, len(value.dims)) for name, value in graph.inputs.items()}
    if found not in (expected, expected | {HIGH_PRECISION: (_BOOL, 0)}):
        raise ValueError(f"inputs {_shown(graph.inputs)}; attar.json says {', '.join(names)} [B, T]")
    sizes = {size for value in graph.inputs.values() for size in value.dims if isinstance(size, int)}
    if sizes:
        raise ValueError(f"inputs {_shown(graph.inputs)}: a fixed size")
    outputs = {name: (value.element, *value.dims[1:]) for name, value in graph.outputs.items()}
    if outputs != {"logits": (_FLOAT, num_labels)}:
        raise ValueError(f"outputs {_shown(graph.outputs)}; expected logits [B, {num_labels}], one a label")


def _shown(values: Mapping[str, Value]) -> str:
    return "; ".join(f"{name[:40]} {list(value.dims)}" for name, value in list(values.items())[:8])


def _check_graph(model: Model, spec: InputSpec, num_labels: int) -> int:
    graph = model.graph
    branches = [
        _branch(graph, key) for key in ("then_branch", "else_branch") if HIGH_PRECISION in graph.inputs
    ]
    if (MARGIN in model.metadata) != bool(branches):
        raise ValueError(f"{MARGIN} without two passes, or the other way round")
    vocabulary: list[int] = []
    for part in branches or [graph]:
        vocabulary.append(_check_nodes(part.nodes, graph, spec))
        for tokens in (2, spec.max_tokens):
            shapes = {name: (1, tokens) if value.dims else () for name, value in graph.inputs.items()}
            for name, shape in check_shapes(part, shapes, graph.constants, tokens).items():
                if shape != (1, num_labels):
                    raise ValueError(f"{name} has the shape {list(shape)}; expected [1, {num_labels}]")
    return min(vocabulary)


def _branch(graph: Graph, key: str) -> Graph:
    """A branch of the one If that a graph of two passes is."""
    node, *others = graph.nodes or [Node("", "", (), (), {})]
    branch = node.attributes.get(key)
    is_choice = (node.domain, node.op, node.inputs, node.outputs) == (
        "",
        "If",
        (HIGH_PRECISION,),
        ("logits",),
    )
    if others or not is_choice or not isinstance(branch, Graph):
        raise ValueError("two passes that are not the branches of one If")
    if branch.inputs or branch.constants or len(branch.outputs) != 1:
        raise ValueError("a branch with inputs, constants or several outputs of its own")
    return branch


def _check_nodes(nodes: tuple[Node, ...], graph: Graph, spec: InputSpec) -> int:
    tables: dict[str, list[int]] = {"input_ids": [], "position_ids": [], "token_type_ids": []}
    for node in nodes:
        if (node.domain, node.op) not in OPS:
            named = f"{node.domain}.{node.op}".removeprefix(".")[:60]
            raise ValueError(f"the operation {named}, which attar does not use")
        if any(isinstance(value, Graph) for value in node.attributes.values()):
            raise ValueError(f"{node.op} with a graph of its own")
        if node.op == "Gather" and len(node.inputs) == 2:
            table, index = node.inputs
            if index in tables and table in graph.constants:
                tables[index].append(graph.constants[table].dims[0] if graph.constants[table].dims else 0)
            elif index not in graph.constants or math.prod(graph.constants[index].dims) != 1:
                raise ValueError("Gather of rows that its input does not name")
    if not tables["input_ids"]:
        raise ValueError("no word embeddings")
    if min(tables["position_ids"], default=spec.max_tokens) < spec.max_tokens:
        raise ValueError(f"fewer positions than max_tokens = {spec.max_tokens}")
    if min(tables["token_type_ids"], default=2) < 2:
        raise ValueError("fewer than two token types")
    return min(tables["input_ids"])


def load_tokenizer(artifact: Artifact, num_rows: int) -> Tokenizer:
    """Check an artifact's tokenizer and load it.

    Args:
        artifact: From ``attar.artifact.load_artifact``.
        num_rows: How many tokens the model's word embeddings have.

    Raises:
        ArtifactError: It cannot be read, or holds what no tokenizer of attar's holds.
    """
    path = artifact.tokenizer_path
    try:
        text = path.read_text("utf-8")
        _check_tokenizer(parse_json(text), num_rows)
        return Tokenizer.from_str(text)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # tokenizers raises bare Exception, and a panic is not even that
        raise ArtifactError(f"{path} cannot be read: {str(error)[:200]}; export again") from error


def _check_tokenizer(card: Any, num_rows: int) -> None:  # noqa: ANN401 - JSON is any
    if not isinstance(card, dict) or not isinstance(card.get("model"), dict):
        raise ValueError("no tokenizer: it has no model")
    if card.get("padding") is not None:
        raise ValueError("it pads by itself; expected padding null")
    model = card["model"]
    if model.get("type", "WordPiece") not in _MODELS:
        raise ValueError(
            f"a model of type {str(model.get('type'))[:40]!r}; expected one of {', '.join(_MODELS)}"
        )
    if model.get("dropout"):
        raise ValueError("it drops tokens at random (dropout)")
    longest = model.get("max_input_chars_per_word", 100)
    if not isinstance(longest, int) or not 0 < longest <= _MAX_WORD_CHARS:
        raise ValueError(
            f"max_input_chars_per_word is {str(longest)[:20]}; expected 1 to {_MAX_WORD_CHARS:,}"
        )
    growth = 1
    for step in _steps(card.get("normalizer"), "normalizers"):
        growth *= _growth(step)
    if growth > _MAX_GROWTH:
        raise ValueError(f"its normaliser makes {growth:,} characters of one; at most {_MAX_GROWTH} allowed")
    for step in _steps(card.get("pre_tokenizer"), "pretokenizers"):
        if step["type"] not in _PRE_TOKENISERS:
            raise ValueError(f"the pre-tokeniser {str(step['type'])[:40]!r}, which attar does not know")
    _check_ids(card, num_rows)


def _steps(part: Any, key: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """A step, or those of a sequence, which may hold sequences."""
    found: list[dict[str, Any]] = []
    left = [part] if part is not None else []
    while left:
        step = left.pop()
        if not isinstance(step, dict) or "type" not in step or len(found) + len(left) >= _MAX_STEPS:
            raise ValueError(f"{key}: expected at most {_MAX_STEPS} steps, each with a type")
        if step["type"] == "Sequence":
            left += step.get(key, [])
        else:
            found.append(step)
    return found


def _growth(step: Mapping[str, Any]) -> int:
    """How many characters a normaliser's step may make of one, beyond Unicode's own."""
    if step["type"] not in _NORMALISERS:
        raise ValueError(f"the normaliser {str(step['type'])[:40]!r}, which attar does not know")
    match step["type"]:
        case "Prepend":
            return 1 + len(step["prepend"])
        case "Replace":
            kind, pattern = next(iter(step["pattern"].items()))
            if kind != "String" and pattern not in _PATTERNS:
                raise ValueError(
                    f"the expression {str(pattern)[:40]!r} in its normaliser, which attar does not know"
                )
            if not pattern:
                raise ValueError("its normaliser replaces nothing by something")
            return max(1, math.ceil(len(step["content"]) / len(pattern if kind == "String" else " ")))
    return 1


def _check_ids(card: Mapping[str, Any], num_rows: int) -> None:
    vocab, added = card["model"].get("vocab"), card.get("added_tokens") or []
    if isinstance(vocab, list):  # of a Unigram: pieces and scores, by id
        ids = list(range(len(vocab)))
    elif isinstance(vocab, dict):
        ids = list(vocab.values())
    else:
        raise ValueError("it has no vocabulary")
    if not isinstance(added, list) or len(added) > _MAX_ADDED:
        raise ValueError(f"added_tokens: expected a list of at most {_MAX_ADDED:,}")
    if len(set(ids)) < len(ids):
        raise ValueError("two tokens have the same id")
    for one in added:
        if not isinstance(one, dict) or not isinstance(one.get("content"), str) or not one["content"]:
            raise ValueError("an added token without content")
    every = [*ids, *(one.get("id") for one in added)]
    wrong = [
        one for one in every if isinstance(one, bool) or not isinstance(one, int) or not 0 <= one < num_rows
    ]
    if wrong:
        raise ValueError(
            f"the id {str(wrong[0])[:20]} of a token; the model has rows for 0 to {num_rows - 1:,}"
        )
