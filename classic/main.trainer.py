"""Train one model on labels: the original's ``python main.trainer.py``."""

import sys

from original.installed import TRAINING, require

require(*TRAINING)

from original.start import main

if __name__ == "__main__":
    sys.exit(main("trainer"))
