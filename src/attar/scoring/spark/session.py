"""A session of Spark: opened with what this job needs, and its errors in words of one line.

Spark's own answers to a missing Java or a master that is not there take a minute and a page, so both are
looked for first.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attar.errors
from attar.errors import AttarError, DataError, MissingPackageError, RunError, require, require_installed

__all__ = ["SparkSettings", "open_session", "read_conf", "spark_error", "spark_errors"]

_MASTER = re.compile(r"local(-cluster)?(\[[^\]]+\])?$|yarn$|spark://.+|k8s://.+")
_TIMEOUT_S = 5.0
_DEFAULTS = {
    # Names of columns keep their case, as in one machine's job.
    "spark.sql.caseSensitive": "true",
    # A file for each reason of a rejection is open at a time, so that a task need not sort its rows.
    "spark.sql.maxConcurrentOutputFileWriters": "32",
    # Otherwise a local disk gets a hidden checksum beside every file.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    # What goes wrong is said once, by us; --conf spark.log.level=WARN shows the rest.
    "spark.log.level": "OFF",
    "spark.ui.showConsoleProgress": "false",
}
_LOCAL_DEFAULTS = {"spark.ui.enabled": "false"}
_OURS = re.compile(r"attar\.errors\.(\w+Error): ([^\n]+)")
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_CLASS = re.compile(r"^\[([A-Z_]+)[\].]")


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """Which Spark, and how it is set.

    Attributes:
        master: Such as ``yarn``, ``spark://HOST:7077`` or ``local[4]``; None leaves it to Spark's own
            configuration, which without any takes this machine.
        conf: Spark's properties, above those of this module.
    """

    master: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)


def read_conf(given: Iterable[str]) -> dict[str, str]:
    """Properties of Spark that are given as KEY=VALUE.

    Raises:
        RunError: One is not.
    """
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip().startswith("spark."):
            raise RunError(f"--conf {name}: expected spark.KEY=VALUE, as in spark.executor.memory=4g")
        found[name.strip()] = value.strip()
    return found


@contextlib.contextmanager
def open_session(settings: SparkSettings, *, hive: bool = False) -> Iterator[Any]:
    """Open a session, and stop it at the end.

    Args:
        settings: Which.
        hive: Whether it looks for Hive's catalogue of tables.

    Raises:
        MissingPackageError: pyspark, pandas, pyarrow or a Java runtime is not there.
        RunError: The master is none, or does not answer.
    """
    require_installed(("pyspark", "pandas", "pyarrow"), "spark")
    _check_java()
    _check_master(settings.master)
    sql = require("pyspark.sql", "spark")
    is_local = settings.master is None or settings.master.startswith("local")
    properties = {**_DEFAULTS, **(_LOCAL_DEFAULTS if is_local else {}), **settings.conf}
    python = properties.get("spark.pyspark.python") or (sys.executable if is_local else None)
    if python is not None:  # pyspark reads the variable alone
        os.environ.setdefault("PYSPARK_PYTHON", python)
    if is_local:  # nothing listens to the outside
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = sql.SparkSession.builder.appName("attar score")
    if settings.master is not None:
        builder = builder.master(settings.master)
    for name, value in properties.items():
        builder = builder.config(name, value)
    with spark_errors():
        session = (builder.enableHiveSupport() if hive else builder).getOrCreate()
    try:
        yield session
    finally:
        session.stop()


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if home is not None and not os.access(Path(home) / "bin" / "java", os.X_OK):
        raise MissingPackageError(f"Spark needs Java: JAVA_HOME is {home}, which has no bin/java; correct it")
    if home is None and shutil.which("java") is None:
        raise MissingPackageError(
            "Spark needs a Java runtime, 17 or newer, and there is none: apt-get install "
            "openjdk-17-jre-headless, or set JAVA_HOME"
        )


def _check_master(master: str | None) -> None:
    if master is None:
        return
    if not _MASTER.match(master):
        raise RunError(
            f"--master {master}: expected yarn, spark://HOST:PORT, k8s://https://HOST:PORT or local[CORES]"
        )
    if master == "yarn" and not {"HADOOP_CONF_DIR", "YARN_CONF_DIR"} & set(os.environ):
        raise RunError("--master yarn: set HADOOP_CONF_DIR to the folder of the cluster's configuration")
    if master.startswith("spark://"):
        hosts = master.removeprefix("spark://").split(",")  # several stand by for each other
        _check_answers(master, [f"//{host}" for host in hosts], 7077)
    elif master.startswith("k8s://"):
        place = master.removeprefix("k8s://")
        _check_answers(master, [place if "//" in place else f"//{place}"], 443)


def _check_answers(master: str, places: list[str], default_port: int) -> None:
    problem = ""
    for place in places:
        try:
            parts = urlsplit(place)
            address = (parts.hostname or "", parts.port or default_port)
            with socket.create_connection(address, timeout=_TIMEOUT_S):
                return
        except (OSError, ValueError) as error:
            problem = str(getattr(error, "strerror", None) or error)
    raise RunError(f"--master {master}: does not answer ({problem}); is it running, and reachable from here?")


@contextlib.contextmanager
def spark_errors() -> Iterator[None]:
    """Raise what Spark raises as one of our errors."""
    try:
        yield
    except (AttarError, KeyboardInterrupt):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
            raise
        raise spark_error(error) from error


def spark_error(error: BaseException) -> AttarError:
    """An error of Spark as one of ours: what a worker of ours raised, or Spark's own first line."""
    said = str(error)
    if (ours := _OURS.search(said)) and issubclass(getattr(attar.errors, ours[1], object), AttarError):
        made: AttarError = getattr(attar.errors, ours[1])(ours[2].strip())
        return made
    if missing := _NO_MODULE.search(said):
        return RunError(
            f"a worker's Python has no package {missing[1]}; give the workers an environment with "
            "attar[spark] (--conf spark.archives=ENV.tar.gz#env --conf spark.pyspark.python=./env/bin/python)"
        )
    first = next((line.strip() for line in said.splitlines() if line.strip()), type(error).__name__)
    kind = _CLASS.match(first)
    if kind and kind[1] in ("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"):
        return DataError(f"{first.partition('] ')[2] or first}")
    if "Python worker" in said or "Cannot run program" in said:
        cause = re.search(r"(?:IOException|SparkException): ([^\n]+)", said)
        python = os.environ.get("PYSPARK_PYTHON", "python3")
        return RunError(f"a worker cannot start {python} ({cause[1] if cause else first}); name one that the "
                        "workers have with --conf spark.pyspark.python=")  # fmt: skip
    causes = re.findall(r"^Caused by: [\w.$]+: ([^\n]+)", said, re.M)
    more = f" ({causes[-1]})" if causes and causes[-1] not in first else ""
    return RunError(f"Spark: {first}{more}; --debug shows it all")
