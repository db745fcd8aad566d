"""A pretrained encoder as the README expects it: config.json, vocab.txt, pytorch_model.bin in a folder.

``hub or folder -> weights read without running code -> checked against the config -> folder``. The
hub is Hugging Face (HF_ENDPOINT names a mirror) or ModelScope.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from attar.errors import CheckpointError, require
from attar.io.files import atomic_write
from original.tool import say

__all__ = ["download_main", "fetch_encoder", "write_encoder_folder"]

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TEXTS = ("config.json", "vocab.txt")
_CLASSIC = Path(__file__).resolve().parents[1]


def download_main(
    name: str, folder: str, argv: Sequence[str] | None = None, *, modelscope: str | None
) -> None:
    """The command line of the download tools.

    Args:
        name: The encoder on Hugging Face; the default of --model.
        folder: The default of --out, beside main.trainer.py.
        argv: The flags; None takes those of this process.
        modelscope: The same encoder on ModelScope; None if it is not known to be there.

    Raises:
        CheckpointError: It cannot be fetched, or is incomplete.
    """
    parser = argparse.ArgumentParser(description=f"Download {name}; HF_ENDPOINT names a mirror.")
    add = parser.add_argument
    there = f"; on ModelScope {modelscope}" if modelscope else ""
    add("--model", help=f"a name on the hub, or a folder; default {name}{there}")
    add("--hub", choices=("huggingface", "modelscope"), default="huggingface", help="default huggingface")
    add("--revision", help="a commit, tag or branch")
    add("--out", type=Path, default=_CLASSIC / folder, help=f"default {folder} beside main.trainer.py")
    args = parser.parse_args(argv)
    model = args.model or (modelscope if args.hub == "modelscope" else name)
    if model is None:
        raise CheckpointError(
            f"{name}: not known to be on ModelScope; leave out --hub (HF_ENDPOINT names a mirror), or name "
            "an encoder of ModelScope's, or a folder that is here, with --model"
        )
    source = Path(model)
    if not source.is_dir():
        source = fetch_encoder(model, args.hub, args.revision)
    write_encoder_folder(source, args.out)
    say(f"{model} -> {args.out}")


def write_encoder_folder(source: Path, out: Path) -> None:
    """Write an encoder's three files atomically, after checking that they belong together.

    Args:
        source: Holds config.json, vocab.txt, and pytorch_model.bin or model.safetensors.
        out: Gets config.json, vocab.txt and pytorch_model.bin.

    Raises:
        CheckpointError: A file is missing, damaged, of another model, or holds code.
    """
    from attar.classic.checkpoint import build_classic, start_encoder
    from attar.classic.files import ClassicFiles
    from attar.classic.weights import architecture_of, read_weights, write_weights
    from attar.task import task_by_name

    missing = [name for name in _TEXTS if not (source / name).is_file()]
    path = next((source / name for name in _WEIGHTS if (source / name).is_file()), None)
    if missing or path is None:
        there = ", ".join(sorted(p.name for p in source.iterdir())[:8]) or "nothing"
        wanted = ", ".join(missing or _WEIGHTS[1:])
        raise CheckpointError(f"{source}: no {wanted}; there: {there}; the original needs all three files")
    weights = read_weights(path)
    architecture = architecture_of(weights, path)
    files = ClassicFiles(source / "config.json", source / "vocab.txt", architecture=architecture)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "pytorch_model.bin") as draft:
        write_weights(weights, draft)
        try:
            start_encoder(build_classic(files, task_by_name("cosmetics"), 8), draft)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(draft), str(path))) from error
    for name in _TEXTS:
        if (source / name).resolve() != (out / name).resolve():
            with atomic_write(out / name) as draft:
                shutil.copyfile(source / name, draft)


def fetch_encoder(name: str, hub: str, revision: str | None) -> Path:
    """Fetch an encoder's files into the hub's own cache.

    Args:
        name: On the hub.
        hub: "huggingface", or what HF_ENDPOINT names instead; or "modelscope".
        revision: A commit, tag or branch; None takes the newest.

    Returns:
        The folder with the files.

    Raises:
        CheckpointError: It does not answer, or has no such encoder.
        MissingPackageError: The package of the hub is not installed.
    """
    of_modelscope = hub == "modelscope"
    module = require("modelscope", "modelscope") if of_modelscope else require("huggingface_hub", "train")
    try:
        for weights in _WEIGHTS:  # a hub often has both, of some hundred megabytes each
            folder = Path(
                module.snapshot_download(name, revision=revision, allow_patterns=[*_TEXTS, weights])
            )
            if (folder / weights).is_file():
                break
    except Exception as error:  # each hub has errors of its own, with no public base
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{name}: cannot be fetched from {hub}: {reason} Check the name and the network; HF_ENDPOINT "
            "names a mirror, --hub modelscope takes the other hub, --model a folder that is here"
        ) from error
    return folder
