"""``attar bench``: time an artifact, and other models beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import ArtifactFolder, Lang, Workers, lines_in
from attar.cli.tables import print_bench
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["bench"]


def bench(
    artifact: ArtifactFolder,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder written by `attar prepare`. [default: synthetic texts of 12 to 70 tokens]"
        ),
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints or artifacts to compare it with.")
    ] = None,
    workers: Workers = None,
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    price: Annotated[float, typer.Option(min=0, help="Price of a core for an hour, in any currency.")] = 0.04,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and bench.svg.")] = None,
    lang: Lang = None,
) -> None:
    """Time an artifact on this machine, text to label, interleaved with other models.

    Throughput with all workers and with one, latency of one example, cold start and memory in new
    processes, file size, and the price of a million mentions. A checkpoint is run as the original
    system runs one.
    """
    tr = lines_in(lang)
    if any((folder / "model.safetensors").is_file() for folder in against or ()):  # a checkpoint
        require_installed(TRAINING_PACKAGES, "train")
    from attar.bench.stage import bench as measure
    from attar.bench.stage import bench_files, write_bench

    if out is not None:
        bench_files(out, [artifact, *(against or []), *([data] if data is not None else [])])
    figures = measure(
        artifact, against or [], data, workers=workers, repeats=repeats, price_per_core_hour=price
    )
    print_bench(figures, tr)
    if out is not None:
        data_file, picture = write_bench(out, figures)
        typer.echo(tr("figures:   {cells}, {all}", cells=data_file, all=picture))
