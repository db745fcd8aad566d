"""Old checkpoints in today's formats: ``python utils/convert_pkl.py gs3024.pkl new.pkl``.

Reads weights that ``torch.save`` wrote before or since PyTorch 1.6; no pickled code is run. The extension
of the second name decides what is written: ``.pkl`` or ``.bin`` a state_dict as a zip (or, with
``--old``, in the format before it), ``.safetensors``, and without an extension a checkpoint folder of
attar, which also needs ``--config`` and ``--vocab``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("train")

from attar.errors import CheckpointError
from attar.io.files import atomic_write
from attar.task import BUILT_IN_TASKS, task_by_name
from original import values
from original.tool import run_tool, say

_PICKLES = (".pkl", ".bin", ".pt", ".pth")


def main(argv: Sequence[str] | None = None) -> None:
    """Convert one file."""
    args = _parser().parse_args(argv)
    out: Path = args.out
    if out.resolve() == args.weights.resolve():
        raise CheckpointError(f"{out} is the file that is read; name another one")
    if args.old and out.suffix not in _PICKLES:
        raise CheckpointError(f"{out}: --old goes with {', '.join(_PICKLES)}")
    if out.suffix in _PICKLES:
        _write_pickle(args.weights, out, zipped=not args.old)
    elif out.suffix == ".safetensors":
        _write_safetensors(args.weights, out)
    elif not out.suffix:
        _write_checkpoint(args)
    else:
        raise CheckpointError(f"{out}: expected {', '.join(_PICKLES)}, .safetensors, or a folder's name")
    say(f"{args.weights} -> {out}")


def _write_pickle(path: Path, out: Path, *, zipped: bool) -> None:
    """The same tensors under the same names: the original loads strictly."""
    import torch

    from attar.classic.weights import read_weights, write_weights

    read_weights(path)  # raises if the file is not a state_dict
    weights = torch.load(path, map_location="cpu", weights_only=True)
    write_weights(weights, out, zipped=zipped)
    _copy_card(path, out)


def _write_safetensors(path: Path, out: Path) -> None:
    from safetensors.torch import save_file

    from attar.classic.weights import read_weights

    # Tied weights share memory, which this format does not allow.
    weights = {name: value.clone().contiguous() for name, value in read_weights(path).items()}
    with atomic_write(out) as draft:
        save_file(weights, draft, metadata={"format": "pt"})
    _copy_card(path, out)


def _copy_card(path: Path, out: Path) -> None:
    """Copy gs*.json, which says whether the weights were trained with marks."""
    from attar.classic.files import read_card, write_card

    card = read_card(path)
    if card is not None:
        write_card(out, card)


def _write_checkpoint(args: argparse.Namespace) -> None:
    from attar.classic.checkpoint import load_classic
    from attar.classic.files import DEFAULT_MAX_TOKENS, ClassicFiles, labels_from, marks_from, read_card
    from attar.models.checkpoint import save_checkpoint

    if args.config is None or args.vocab is None:
        raise CheckpointError(f"{args.out}: a checkpoint folder needs --config and --vocab too")
    files = ClassicFiles(
        args.config, args.vocab, args.weights, args.model_architecture, False if args.cased else None,
        labels_from(args.labels), marks_from(args.marks),
    )  # fmt: skip
    card = read_card(args.weights) or {}
    max_tokens = args.max_seq_length or int(card.get("max_seq_length", DEFAULT_MAX_TOKENS))
    task_name = args.task_name or card.get("task", "cosmetics")
    save_checkpoint(load_classic(files, task_by_name(task_name), max_tokens), args.out)


def _parser() -> argparse.ArgumentParser:
    parser = values.Parser(description="Old checkpoints in today's formats.")
    add = parser.add_argument
    add("weights", type=Path, metavar="OLD", help="a gs*.pkl or pytorch_model.bin of any age")
    add("out", type=Path, metavar="NEW", help=".pkl, .safetensors, or the name of a checkpoint folder")
    add("--old", action="store_true", help="write the format of PyTorch before 1.6")
    add("--config", type=Path, help="a checkpoint folder: the config.json of the weights")
    add("--vocab", type=Path, help="a checkpoint folder: the vocab.txt of the weights")
    add("--task_name", choices=sorted(BUILT_IN_TASKS),
        help="default: as the gs*.json beside it says, else cosmetics")  # fmt: skip
    add("--max_seq_length", type=values.length, help="longest input in tokens; default: the same, else 70")
    add("--marks", choices=("auto", "on", "off"), default="auto",
        help="trained with _ around the keyword or not; default auto: the same, else off")  # fmt: skip
    add("--model_architecture", choices=("bert", "electra", "albert"), help="default: as the weights say")
    add("--labels", help="the labels in the order of the logits, with commas; default: the original's")
    add("--cased", action="store_true", help="the weights were trained without --do_lower_case")
    return parser


if __name__ == "__main__":
    sys.exit(run_tool(main))
