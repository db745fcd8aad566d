"""Where Spark reads and writes: folders of Parquet, through Hadoop's file systems, and tables of a catalogue.

A table is ``hive://DATABASE/TABLE``. All else is a path, or an address such as ``hdfs:///reviews`` or
``s3a://BUCKET/reviews``; a path without a scheme lies where Spark's configuration says, by default on disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from attar.errors import DataError, RunError
from attar.io.tables.table_files import TABLE_ENDINGS

__all__ = ["HadoopFiles", "check_parquet", "is_table", "table_name"]

_TABLE = re.compile(r"hive://([^/`\s]+)/([^/`\s]+)")
# What Spark leaves in a folder of Parquet, and its folders by reason.
_SPARKS_OWN = re.compile(r"(rejected=[^/]+/)?(part-[^/]+\.parquet|_SUCCESS|\.[^/]+\.crc)")


def is_table(place: str) -> bool:
    """Whether a place names a table."""
    return place.startswith("hive:")


def table_name(place: str) -> tuple[str, str]:
    """Database and table of an address.

    Raises:
        DataError: It is none.
    """
    if (match := _TABLE.fullmatch(place)) is None:
        raise DataError(f"{place}: expected hive://DATABASE/TABLE, as hive://default/reviews")
    return match[1], match[2]


def check_parquet(place: str) -> None:
    """Refuse a file that Spark would take for Parquet and that is none.

    Raises:
        DataError: Its ending is that of another format, or its place another kind of server.
    """
    scheme = place.partition("://")[0] if "://" in place else ""
    name = place.lower().rstrip("/").rpartition("/")[2]
    ending = next((one for one in TABLE_ENDINGS if name.endswith(one)), "")
    if (
        place == "-"
        or scheme.startswith("mongodb")
        or name.endswith(".json")
        or ending not in ("", ".parquet")
    ):
        raise DataError(
            f"{place}: --engine spark reads and writes Parquet and tables (hive://DATABASE/TABLE); leave the "
            "engine out for others, which one machine reads"
        )


class HadoopFiles:
    """Files of whatever system an address names, as Spark itself sees them."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - Spark's
        self._jvm = session.sparkContext._jvm
        self._conf = session.sparkContext._jsc.hadoopConfiguration()

    def whole(self, place: str) -> str:
        """The address with scheme and all, by which two names of one place are equal."""
        path = self._path(place)
        return str(path.getFileSystem(self._conf).makeQualified(path).toString())

    def exists(self, place: str) -> bool:
        """Whether something is there."""
        path = self._path(place)
        return bool(path.getFileSystem(self._conf).exists(path))

    def names(self, folder: str) -> list[str]:
        """The files in a folder and below it, relative to it; of a file [""]."""
        path = self._path(folder)
        system = path.getFileSystem(self._conf)
        if not system.getFileStatus(path).isDirectory():
            return [""]
        found, names = system.listFiles(path, True), []
        base = self.whole(folder).rstrip("/") + "/"
        while found.hasNext():
            names.append(str(found.next().getPath().toString()).removeprefix(base))
        return names

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        path = self._path(folder)
        listed = path.getFileSystem(self._conf).listStatus(path)
        return [str(one.getPath().getName()) for one in listed if one.isDirectory()]

    def move(self, place: str, target: str) -> None:
        """Give something another name of the same file system; folders above it are made.

        Raises:
            RunError: It cannot be moved, or the name is taken.
        """
        old, new = self._path(place), self._path(target)
        system = old.getFileSystem(self._conf)
        if system.exists(new):  # it would become a folder within it
            raise RunError(f"{target}: something came there meanwhile; what was scored is in {place}")
        system.mkdirs(new.getParent())
        if not system.rename(old, new):
            raise RunError(f"{place}: cannot be moved to {target}; move it yourself")

    def remove(self, place: str) -> None:
        """Remove a file or folder, if it is there."""
        path = self._path(place)
        path.getFileSystem(self._conf).delete(path, True)

    def write_json(self, place: str, value: Mapping[str, Any]) -> None:
        """Write a small file, which must be new."""
        path = self._path(place)
        stream = path.getFileSystem(self._conf).create(path, False)
        stream.write(bytearray(json.dumps(value, ensure_ascii=False, indent=2).encode()))
        stream.close()

    def mark_whole(self, folder: str) -> None:
        """Write the empty file by which other programs know that a folder is whole."""
        path = self._path(f"{folder}/_SUCCESS")
        path.getFileSystem(self._conf).create(path, True).close()

    def is_sparks(self, folder: str) -> bool:
        """Whether a folder holds nothing but what Spark writes."""
        return all(_SPARKS_OWN.fullmatch(name) for name in self.names(folder))

    def check_apart(self, out: Iterable[str], sources: Iterable[str]) -> None:
        """Refuse to write into what is read, or around it.

        Raises:
            DataError: It would.
        """
        read = [self.whole(source).rstrip("/") + "/" for source in sources]
        for place in out:
            ours = self.whole(place).rstrip("/") + "/"
            if any(ours.startswith(one) or one.startswith(ours) for one in read):
                raise DataError(f"{place} is, holds or lies in what is read; name another --out")

    def _path(self, place: str) -> Any:  # noqa: ANN401 - Hadoop's
        return self._jvm.org.apache.hadoop.fs.Path(place)
