"""Train one model on labels: the original's ``python main.trainer.py``."""

import sys

from original.installed import require

require("train")

from original.start import main

if __name__ == "__main__":
    sys.exit(main("trainer"))
