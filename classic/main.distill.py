"""Distil one teacher into a student: the original's ``python main.distill.py``."""

import sys

from original.installed import require

require("train")

from original.start import main

if __name__ == "__main__":
    sys.exit(main("distill"))
