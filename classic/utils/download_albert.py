"""Chinese ALBERT as albert_model/: ``python utils/download_albert.py``."""

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
    download_main("voidful/albert_chinese_large", "albert_model", argv, modelscope=None)


if __name__ == "__main__":
    sys.exit(run_tool(main))
