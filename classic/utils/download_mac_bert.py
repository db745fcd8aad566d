"""MacBERT as mac_bert_model/: ``python utils/download_mac_bert.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("train")

from original.encoder_folders import download_main
from original.tool import run_tool


def main(argv: Sequence[str] | None = None) -> None:
    """Download the encoder, check it, and write its folder."""
    download_main(
        "hfl/chinese-macbert-base", "mac_bert_model", argv, modelscope="dienstag/chinese-macbert-base"
    )


if __name__ == "__main__":
    sys.exit(run_tool(main))
