"""Sentiment of a keyword over HTTP, on port 5000: ``python api_absa.py --model ARTIFACT``."""

import sys
from collections.abc import Sequence

from original.installed import require

require("train", "serve")

from original.service import Defaults, serve_original
from original.tool import run_tool

_MACBERT = (
    "trained_teacher_model/macbert_894_cosmetics.pkl",
    "mac_bert_model/config.json",
    "mac_bert_model/vocab.txt",
)

DEFAULTS = Defaults(
    tasks=("cosmetics", "newcos"),
    port=5000,
    model=_MACBERT,
    named={"macbert": _MACBERT},
    train_from=("mac_bert_model/pytorch_model.bin", "mac_bert_model/config.json", "mac_bert_model/vocab.txt"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    serve_original(DEFAULTS, argv)


if __name__ == "__main__":
    sys.exit(run_tool(main))
