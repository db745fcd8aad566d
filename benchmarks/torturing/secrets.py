"""Secrets in every place that takes one, spelt in every wrong way: none may be seen again.

Not on stdout or stderr, not in a file of the working folder, not in a file's name; whatever verb it is and
however it ends. Nothing listens at the addresses.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torturing.children import Ended, forked_verb, import_verbs
from torturing.parts import Row, Torture
from torturing.tiny import tiny_artifact, tiny_checkpoint

__all__ = [
    "ADDRESSES",
    "PLACES",
    "SECRET",
    "Attempt",
    "attempts",
    "leak",
    "make_place",
    "secrets",
    "try_once",
]

SECRET = "Zq7S3cret"  # noqa: S105 - the one that is looked for
_AT = "127.0.0.1:9"

ADDRESSES: Mapping[str, str] = {
    "as it should be": f"mongodb://bob:{SECRET}@{_AT}/db/c",
    "in capitals": f"MONGODB://bob:{SECRET}@{_AT}/db/c",
    "one slash": f"mongodb:/bob:{SECRET}@{_AT}/db/c",
    "no slash": f"mongodb:bob:{SECRET}@{_AT}/db/c",
    "three slashes": f"mongodb:///bob:{SECRET}@{_AT}/db/c",
    "no colon": f"mongodb//bob:{SECRET}@{_AT}/db/c",
    "a semicolon": f"mongodb;//bob:{SECRET}@{_AT}/db/c",
    "backslashes": f"mongodb:\\\\bob:{SECRET}@{_AT}/db/c",
    "no scheme": f"bob:{SECRET}@{_AT}/db/c",
    "another scheme": f"mongo://bob:{SECRET}@{_AT}/db/c",
    "of the web": f"http://bob:{SECRET}@{_AT}/db/c",
    "two @": f"mongodb://bob:{SECRET}@@{_AT}/db/c",
    "@ in the password": f"mongodb://bob:x@{SECRET}@{_AT}/db/c",
    "a slash in the password": f"mongodb://bob:x/{SECRET}@{_AT}/db/c",
    "# in the password": f"mongodb://bob:x#{SECRET}@{_AT}/db/c",
    "? in the password": f"mongodb://bob:x?{SECRET}@{_AT}/db/c",
    "% in the password": f"mongodb://bob:x%{SECRET}@{_AT}/db/c",
    "a blank in the password": f"mongodb://bob:x {SECRET}@{_AT}/db/c",
    "a line's end in the password": f"mongodb://bob:x\n{SECRET}@{_AT}/db/c",
    "a blank before": f" mongodb://bob:{SECRET}@{_AT}/db/c",
    "a blank within": f"mongodb:// bob:{SECRET}@{_AT}/db/c",
    "blanks around @": f"mongodb://bob:{SECRET} @ {_AT}/db/c",
    "in quotes": f"'mongodb://bob:{SECRET}@{_AT}/db/c'",
    "an encoded colon": f"mongodb://bob%3A{SECRET}@{_AT}/db/c",
    "an encoded @": f"mongodb://bob:{SECRET}%40{_AT}/db/c",
    "a password alone": f"mongodb://:{SECRET}@{_AT}/db/c",
    "no collection": f"mongodb://bob:{SECRET}@{_AT}/db",
    "no host": f"mongodb://bob:{SECRET}@",
    "three names": f"mongodb://bob:{SECRET}@{_AT}/db/c/d",
    "an option": f"mongodb://{_AT}/db/c?password={SECRET}",
    "an option of the cloud": f"mongodb://{_AT}/db/c?authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}",
    "a token": f"http://{_AT}/projects/7?token={SECRET}",
    "a token, in capitals": f"HTTP://{_AT}/projects/7?TOKEN={SECRET}",
    "a token, one slash": f"http:/{_AT}/projects/7?token={SECRET}",
    "a token, no scheme": f"{_AT}/projects/7?token={SECRET}",
    "a token behind &": f"http://{_AT}/projects/7&token={SECRET}",
    "a token behind #": f"http://{_AT}/projects/7#token={SECRET}",
    "a token behind a colon": f"http://{_AT}/projects/7?token:{SECRET}",
    "a token behind a blank": f"http://{_AT}/projects/7?token= {SECRET}",
    "a header": f"http://{_AT}/projects/7?Authorization=Token {SECRET}",
    "a token as user": f"http://{SECRET}@{_AT}/projects/7",
    "a key, encoded": f"http://{_AT}/projects/7?api%5Fkey={SECRET}",
    "a bucket": f"s3://AKIA:{SECRET}@bucket/reviews.csv",
    "a signed link": f"https://{_AT}/reviews.csv?X-Amz-Signature={SECRET}",
}
"""Spellings of an address that somebody may give with a secret in it."""

PLACES: Mapping[str, list[str]] = {
    "prepare SOURCE": ["prepare", "ADDRESS", "--task", "cosmetics", "--out", "data"],
    "prepare SOURCE.csv": ["prepare", "ADDRESS.csv", "--task", "cosmetics", "--out", "data"],
    "prepare, in a recipe": ["prepare", "--recipe", "recipe.toml", "--out", "data"],
    "prepare, joined in a recipe": ["prepare", "--recipe", "joined.toml", "--out", "data"],
    "prepare --set": ["prepare", "--set", "data.sources=[{path='ADDRESS'}]", "--out", "data"],
    "prepare --set, no =": ["prepare", "rows.jsonl", "--set", "data.sources:ADDRESS", "--out", "data"],
    "prepare --set, misspelt": ["prepare", "rows.jsonl", "--set", "data.sorces=ADDRESS", "--out", "data"],
    "prepare --set, a number": ["prepare", "rows.jsonl", "--set", "data.dev=ADDRESS", "--out", "data"],
    "prepare --column": ["prepare", "rows.jsonl", "--column", "text=ADDRESS", "--out", "data"],
    "prepare --out": ["prepare", "rows.jsonl", "--task", "cosmetics", "--out", "ADDRESS"],
    "prepare --recipe": ["prepare", "--recipe", "ADDRESS", "--out", "data"],
    "score ARTIFACT": ["score", "ADDRESS", "--in", "rows.jsonl", "--out", "scored.jsonl"],
    "score --in": ["score", "artifact", "--in", "ADDRESS", "--out", "scored.jsonl"],
    "score --in, two": ["score", "artifact", "--in", "rows.jsonl", "--in", "ADDRESS", "--out", "o.jsonl"],
    "score --out": ["score", "artifact", "--in", "rows.jsonl", "--out", "ADDRESS"],
    "score --out.jsonl": ["score", "artifact", "--in", "rows.jsonl", "--out", "ADDRESS.jsonl"],
    "score --terms": ["score", "artifact", "--in", "rows.jsonl", "--terms", "ADDRESS", "--out", "o.jsonl"],
    "score --query": [
        "score", "artifact", "--in", f"mongodb://{_AT}/d/c", "--query", "ADDRESS", "--out", "o.csv"
    ],
    "compare A": ["compare", "ADDRESS", "rows.jsonl", "--out", "compared.xlsx"],
    "compare --gold": ["compare", "rows.jsonl", "--gold", "ADDRESS", "--out", "compared.xlsx"],
    "compare --out": ["compare", "rows.jsonl", "rows.jsonl", "--out", "ADDRESS.xlsx"],
    "terms REVIEWS": ["terms", "ADDRESS", "--out", "terms.csv"],
    "terms --out": ["terms", "rows.jsonl", "--out", "ADDRESS.csv"],
    "verify": ["verify", "ADDRESS"],
    "serve": ["serve", "ADDRESS"],
    "serve NAME=": ["serve", "a=ADDRESS"],
    "serve --terms": ["serve", "artifact", "--terms", "ADDRESS"],
    "serve --keys": ["serve", "artifact", "--keys", "ADDRESS"],
    "serve --host": ["serve", "artifact", "--host", "ADDRESS"],
    "train, an encoder": [
        "train", "recipe.toml", "--data", "data0", "--out", "t", "--set", "train.encoder=ADDRESS"
    ],
    "train --data": ["train", "recipe.toml", "--data", "ADDRESS", "--out", "teacher"],
    "distill --teacher": ["distill", "recipe.toml", "--data", "data0", "--teacher", "ADDRESS", "--out", "s"],
    "export": ["export", "ADDRESS", "--data", "data0", "--out", "artifact2"],
    "evaluate": ["evaluate", "--data", "data0", "--teacher", "ADDRESS", "--out", "report"],
    "run RECIPE": ["run", "ADDRESS"],
    "run, in a recipe": ["run", "recipe.toml"],
    "run --out": ["run", "recipe.toml", "--out", "ADDRESS"],
    "run --repeat": ["run", "--repeat", "ADDRESS"],
    "run --against": ["run", "recipe.toml", "--against", "ADDRESS"],
    "init SOURCE": ["init", "ADDRESS", "--out", "new.toml"],
    "init --out": ["init", "rows.jsonl", "--out", "ADDRESS.toml"],
    "pretrain --texts": ["pretrain", "recipe.toml", "--texts", "ADDRESS", "--out", "pretrained"],
    "cascade --second": [
        "cascade", "--first", "artifact", "--second", "ADDRESS", "--data", "data0", "--out", "cascade"
    ],
    "insight SCORED": ["insight", "ADDRESS", "--by", "term", "--out", "insight"],
    "insight --labels": ["insight", "rows.jsonl", "--by", "term", "--labels", "ADDRESS", "--out", "i"],
    "insight --report": ["insight", "rows.jsonl", "--by", "term", "--report", "ADDRESS", "--out", "i"],
    "insight --by": ["insight", "rows.jsonl", "--by", "ADDRESS", "--out", "insight"],
    "convert OLD": ["convert", "ADDRESS", "new"],
    "convert NEW": ["convert", "artifact", "ADDRESS"],
    "bench": ["bench", "ADDRESS", "--out", "bench"],
    "bench --against": ["bench", "artifact", "--against", "ADDRESS", "--out", "bench"],
    "clean": ["clean", "ADDRESS"],
}  # fmt: skip
"""Command lines with the place of an address."""

_LABEL_STUDIO = ["prepare", f"http://{_AT}/projects/7", "--task", "cosmetics", "--out", "data"]
_SERVE = ["serve", "artifact", "--port", "PORT"]
_TOKENS = (
    SECRET,
    f" {SECRET}",
    f"{SECRET}\n",
    f"Token {SECRET}",
    f"Bearer {SECRET}",
    f"{SECRET}é",
    f'"{SECRET}"',
)
_VARIABLES: Mapping[str, list[str]] = {
    "LABEL_STUDIO_API_KEY": _LABEL_STUDIO,
    "ATTAR_API_KEY": _SERVE,
    "ATTAR_API_KEYS": _SERVE,
    "ATTAR_ADMIN_KEY": _SERVE,
    "ATTAR_WORKERS": ["score", "artifact", "--in", "rows.jsonl", "--out", "scored.jsonl"],
    "ATTAR_MAX_TABLE_GB": ["prepare", "rows.xlsx", "--task", "cosmetics", "--out", "data"],
    "HF_TOKEN": [
        "train",
        "recipe.toml",
        "--data",
        "data0",
        "--out",
        "t",
        "--set",
        "train.encoder=some/encoder",
    ],
}
_WITH_VARIABLES = {
    "a variable": f"mongodb://bob:$PW@{_AT}/db/c",
    "a variable in braces": f"mongodb://bob:${{PW}}@{_AT}/db/c",
    "a variable, in capitals": f"MONGODB://bob:$PW@{_AT}/db/c",
    "a variable as option": f"mongodb://{_AT}/db/c?password=$PW",
    "a variable beside one that is not set": f"mongodb://$NOBODY:$PW@{_AT}/db/c",
    "a variable, the address beside it in clear": f"mongodb://$NOBODY:{SECRET}@{_AT}/db/c",
    "a variable as all of it": "$ADDRESS_OF_IT",
}
_RECIPE = """task = "cosmetics"
[data]
sources = [{{ path = {address} {more} }}]
"""


class Attempt(NamedTuple):
    """A command line with a secret.

    Attributes:
        place: Where the secret is.
        spelling: How it is spelt.
        arguments: After ``attar``.
        address: For the recipes.
        environment: More variables.
    """

    place: str
    spelling: str
    arguments: list[str]
    address: str
    environment: Mapping[str, str]


def attempts() -> Iterator[Attempt]:
    """Every place with every spelling."""
    for place, line in PLACES.items():
        for spelling, address in ADDRESSES.items():
            said = [part.replace("ADDRESS", address) for part in line]
            yield Attempt(place, spelling, said, address, {})
    for spelling, address in _WITH_VARIABLES.items():
        for place in ("prepare SOURCE", "prepare, in a recipe", "score --in", "score --out"):
            said = [part.replace("ADDRESS", address) for part in PLACES[place]]
            given = {"PW": SECRET, "ADDRESS_OF_IT": ADDRESSES["as it should be"]}
            yield Attempt(place, spelling, said, address, given)
    for variable, line in _VARIABLES.items():
        for token in _TOKENS:
            yield Attempt(variable, repr(token.replace(SECRET, "SECRET")), line, "x", {variable: token})


def make_place(folder: Path, artifact: Path) -> None:
    """The working folder of an attempt: rows, recipes, a prepared folder to be, an artifact."""
    folder.mkdir()
    row = {"text": "香味很好", "term": "香味", "label": "积极"}
    lines = "".join(
        json.dumps(row | {"text": f"第{n}瓶香味很好"}, ensure_ascii=False) + "\n" for n in range(20)
    )
    (folder / "rows.jsonl").write_text(lines, "utf-8")
    (folder / "artifact").symlink_to(artifact)
    (folder / "data0").mkdir()


def try_once(attempt: Attempt, folder: Path, port: int = 0) -> Ended:
    """Make the attempt in a fork."""
    address = json.dumps(attempt.address)
    (folder / "recipe.toml").write_text(_RECIPE.format(address=address, more=""), "utf-8")
    joined = f', join = {{ path = {address}, on = "id" }}'
    (folder / "joined.toml").write_text(_RECIPE.format(address='"rows.jsonl"', more=joined), "utf-8")
    said = [part.replace("PORT", str(port)) for part in attempt.arguments]
    return forked_verb(said, folder, seconds=60, environment=attempt.environment, before=_impatient)


def _impatient() -> None:
    """Nobody answers at the addresses, and that is known at once."""
    from attar.io import mongo
    from attar.records.remote import label_studio

    mongo._TIMEOUTS_MS = dict.fromkeys(mongo._TIMEOUTS_MS, 20)
    mongo._TRIES = 1
    label_studio._WAITS_S = (0.0, 0.0, 0.0, 0.0)


def leak(folder: Path, ended: Ended) -> str:
    """Where the secret can be seen, "" for nowhere."""
    given = {"recipe.toml", "joined.toml"}
    if SECRET in ended.said:
        line = next(line for line in ended.said.splitlines() if SECRET in line)
        return f"said it: {line[-200:]!r}"
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(base) / name
            if SECRET in name:
                return f"it is in the name {name!r}"
            if name not in given and path.is_file() and SECRET.encode() in path.read_bytes():
                return f"it is in {path.relative_to(folder)}"
    return ""


def secrets(torture: Torture) -> Iterator[Row]:
    """Every attempt, or in a share every third, in a working folder of its own."""
    artifact = tiny_artifact(tiny_checkpoint(), torture.folder / "artifact")
    rows: dict[str, Row] = {}
    import_verbs()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for attempt in itertools.islice(attempts(), 0, None, 3 if torture.is_short else 1):
            kind = attempt.place if attempt.environment and "PW" not in attempt.environment else (
                f"secrets, `attar {attempt.place.partition(' ')[0].rstrip(',')}`"
            )  # fmt: skip
            row = rows.setdefault(kind, Row(kind))
            if torture.is_over:
                row.is_cut = True
                continue
            folder = torture.folder / "place"
            make_place(folder, artifact)
            ended = try_once(attempt, folder, taken.getsockname()[1])
            wrong = leak(folder, ended) or ended.broken
            shutil.rmtree(folder)
            row.fail(f"{attempt.place}, {attempt.spelling}: {wrong}") if wrong else row.add(
                "nowhere to be seen"
            )
    yield from rows.values()
