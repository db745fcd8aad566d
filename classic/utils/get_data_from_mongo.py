"""Reviews from MongoDB as a data folder: ``python utils/get_data_from_mongo.py --host HOST``.

``ai-corpus.as_corpus`` gives sentiment, ``ai-corpus.label_corpus`` ingredients. Put a password
into the environment variable MONGODB_URI, which no process list shows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("mongodb", "data")

from attar.errors import DataError
from attar.recipe.load import SourceRecipe
from attar.task import task_by_name
from original.collecting import SEED, collect
from original.tool import run_tool

_COLLECTIONS = {"cosmetics": "as_corpus", "newcos": "as_corpus", "components": "label_corpus"}
_PORT = 27017


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch a collection, check it and split it."""
    args = _parser().parse_args(argv)
    source = SourceRecipe(
        path=collection_uri(args), format="mongodb", query=_query(args.query), constants=dict(args.constant)
    )
    out = args.out or Path("data_root_dir") / args.task_name
    collect([source], task_by_name(args.task_name), out, shares=args.shares, seed=args.seed)


def collection_uri(args: argparse.Namespace) -> str:
    """``mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE/COLLECTION[?OPTIONS]`` of a command line.

    Raises:
        DataError: No server is named.
    """
    uri = args.uri or (f"mongodb://{args.host}:{args.port}" if args.host else os.environ.get("MONGODB_URI"))
    if not uri:
        raise DataError("which MongoDB? give --host (and --port), --uri, or set MONGODB_URI")
    base, _, options = uri.partition("?")
    scheme, _, rest = base.partition("://")
    authority, _, path = rest.partition("/")
    names = [name for name in path.split("/") if name]
    if len(names) > 1:
        return str(uri)
    if names and "authsource=" not in options.lower():
        # The path of such an address is the authentication database.
        options = "&".join(part for part in (options, f"authSource={names[0]}") if part)
    collection = args.collection or _COLLECTIONS[args.task_name]
    mark = "?" if options else ""
    return f"{scheme}://{authority}/{quote(args.database, '')}/{quote(collection, '')}{mark}{options}"


def _query(text: str) -> dict[str, Any]:
    try:
        query = json.loads(text)
    except ValueError as error:
        raise DataError(f"--query is not JSON: {error}") from error
    if not isinstance(query, dict):
        raise DataError('--query: expected a filter such as {"brand": "..."}')
    return query


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE, as in channel=微博")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Reviews from MongoDB as a data folder.")
    add = parser.add_argument
    add("--host", help="of the server")
    add("--port", type=int, default=_PORT, help=f"of the server; default {_PORT}")
    add("--uri", help="instead: mongodb://HOST[/DATABASE/COLLECTION]; default $MONGODB_URI")
    add("--database", default="ai-corpus", help="default ai-corpus")
    add("--collection", help="default as_corpus, for components label_corpus")
    add("--query", default="{}", help="which documents: a MongoDB filter as JSON")
    add("--task_name", choices=sorted(_COLLECTIONS), default="cosmetics", help="default cosmetics")
    add("--out", type=Path, help="the data folder; default data_root_dir/TASK")
    add("--shares", choices=("80/20", "90/5/5"), default="90/5/5", help="of train, dev (and test)")
    add("--constant", type=_pair, action="append", default=[], metavar="NAME=VALUE",
        help="a column that is the same everywhere, such as channel=微博")  # fmt: skip
    add("--seed", type=int, default=SEED, help=f"of the split; default {SEED}")
    return parser


if __name__ == "__main__":
    sys.exit(run_tool(main))
