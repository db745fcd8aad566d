"""Whether a word is an ingredient, over HTTP on port 5010: ``python api_components.py --model ARTIFACT``."""

import sys
from collections.abc import Sequence

from original.installed import require

require("train", "serve")

from original.service import Defaults, serve_original
from original.tool import run_tool

_ELECTRA, _ALBERT = (
    ("electra_model/config.json", "electra_model/vocab.txt"),
    ("albert_model/config.json", "albert_model/vocab.txt"),
)

DEFAULTS = Defaults(
    tasks=("components",),
    port=5010,
    model=("trained_teacher_model/electra_310_components.pkl", *_ELECTRA),
    named={"albert": ("trained_teacher_model/components_albert.pkl", *_ALBERT)},
    train_from=("electra_model/pytorch_model.bin", *_ELECTRA),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    serve_original(DEFAULTS, argv)


if __name__ == "__main__":
    sys.exit(run_tool(main))
