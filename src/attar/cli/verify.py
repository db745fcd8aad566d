"""``attar verify``: whether an artifact computes the same here as where it was exported."""

from __future__ import annotations

from attar.cli.options import ArtifactFolder, Lang, lines_in
from attar.cli.tables import print_verification
from attar.errors import ArtifactError

__all__ = ["verify"]


def verify(artifact: ArtifactFolder, lang: Lang = None) -> None:
    """Check that an artifact gives the same logits on this machine as where it was exported.

    Runs all its stored inputs. Exit code 0 if the logits are within the artifact's tolerance, 2 if not.
    """
    tr = lines_in(lang)
    from attar.scoring.verify import verify as compute

    found = compute(artifact)
    print_verification(found, tr)
    if not found.compared.passed:
        raise ArtifactError(
            f"{artifact} gives other logits on this machine than where it was exported; copy the folder "
            "again, try another version of ONNX Runtime, or export again"
        )
