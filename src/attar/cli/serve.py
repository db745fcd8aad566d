"""``attar serve``: an artifact over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from attar.cli.options import ArtifactFolder, Workers
from attar.errors import require_installed

__all__ = ["serve"]


def serve(
    artifact: ArtifactFolder,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8000,
    classic: Annotated[
        bool, typer.Option("--classic", help="Add the original system's /api routes, with its large limits.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Serve an artifact over HTTP: POST /v1/score, GET /v1/model, /live, /ready, /openapi.json.

    Where ATTAR_API_KEY is set, clients must send it as `Authorization: Bearer KEY`. On SIGTERM open
    requests are answered before the process ends.
    """
    require_installed(("fastapi", "uvicorn"), "serve")
    from attar.classic.routes import artifact_routes
    from attar.serving.limits import CLASSIC_LIMITS, DEFAULT_LIMITS
    from attar.serving.server import serve_artifact

    limits, routes = (CLASSIC_LIMITS, artifact_routes) if classic else (DEFAULT_LIMITS, None)
    serve_artifact(artifact, host, port, workers=workers, say=typer.echo, limits=limits, routes=routes)
