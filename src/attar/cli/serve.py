"""``attar serve``: an artifact over HTTP."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attar.cli.options import Workers
from attar.errors import require_installed

if TYPE_CHECKING:
    from attar.scoring.predictor import Predictor

__all__ = ["serve"]


def serve(
    artifacts: Annotated[
        list[str],
        typer.Argument(
            metavar="ARTIFACT...",
            help="Artifact folders, NAME=FOLDER, or a ready model: zh-reviews; the first is the default.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8000,
    classic: Annotated[
        bool, typer.Option("--classic", help="Add the original system's /api routes, with its large limits.")
    ] = False,
    terms: Annotated[
        Path | None, typer.Option(help="A list of terms, which are found in rows that name none.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="A file with a key a line; `admin KEY` may reload. Read again on SIGHUP."),
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="An origin whose pages may call the service.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="A page at / to try a sentence, and to score files.")
    ] = True,
    log_format: Annotated[
        Literal["auto", "text", "json"],
        typer.Option(help="Of the log on stderr; auto writes JSON lines unless it is a terminal."),
    ] = "auto",
    accept_refused: Annotated[
        bool, typer.Option("--accept-refused", help="Serve an artifact that the gate refused.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Serve artifacts over HTTP: POST /v1/score, GET /v1/models, /live, /metrics, /docs; a page at /.

    Where ATTAR_API_KEY, ATTAR_API_KEYS or `--keys` has keys, clients must send one as `Authorization: Bearer
    KEY`. On SIGHUP, or POST /admin/reload with ATTAR_ADMIN_KEY, artifacts are loaded again. On SIGTERM open
    requests are answered before the process ends.
    """
    require_installed(("fastapi", "uvicorn", "httptools", "prometheus_client"), "serve")
    from attar.classic.routes import artifact_routes
    from attar.serving.limits import CLASSIC_LIMITS
    from attar.serving.request_log import log_as_json
    from attar.serving.server import ServeOptions, serve_artifacts

    if log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()):
        log_as_json()
    check = partial(_check_served, accept_refused=accept_refused, classic=classic)
    options = ServeOptions(workers=workers, terms=terms, keys=keys, cors=cors or (), page=page, check=check)
    if classic:
        options = replace(options, limits=CLASSIC_LIMITS, routes=artifact_routes)
    serve_artifacts(artifacts, host, port, say=typer.echo, options=options)


def _check_served(predictor: Predictor, *, accept_refused: bool, classic: bool) -> None:
    """Refuse an artifact that the gate refused, or that the original's routes have no use for."""
    from attar.artifact import check_not_refused
    from attar.classic.routes import check_artifact

    if not accept_refused:
        check_not_refused(predictor.artifact)
    if classic:
        check_artifact(predictor)
