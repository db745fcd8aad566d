"""``attar verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.tables import print_verification

__all__ = ["verify"]


def verify(artifact: Annotated[Path, typer.Argument(help="An artifact folder.")]) -> None:
    """Check that an artifact answers on this machine as it did where it was exported.

    Computes all its stored inputs. Exit code 0 if the logits are within the artifact's tolerance, 2 if not.
    """
    from attar.errors import ArtifactError
    from attar.scoring.verify import verify as compute

    found = compute(artifact)
    print_verification(found)
    if not found.compared.passed:
        raise ArtifactError(
            f"{artifact} answers otherwise on this machine than where it was exported; copy the folder "
            "again, try another version of ONNX Runtime, or export again"
        )
