"""Distil several teachers into a student: the original's ``python main.multiteacher.py``."""

import sys

from original.installed import require

require("train")

from original.start import main

if __name__ == "__main__":
    sys.exit(main("multiteacher"))
