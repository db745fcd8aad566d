"""Run folders: one folder a stage, stamped with what it was made from, and replaced whole or not at all.

A stage works in a draft beside its folder, ``OUT.draft``, which takes the folder's name when the result
is whole: until then the earlier result stands, and a stage that fails or is killed leaves it as it was. The
stamp (``attar.io.stamps``) holds the stage's inputs, its settings and the hashes of what it read, and
what it wrote. A finished stage with the same inputs and whole files is up to date; an unfinished draft of
the same inputs resumes; all else is rebuilt.

Under torchrun the first process writes folders and stamps for all; the others compute along with it
where a stage is shared work, and wait for its stamp.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar import __version__
from attar.errors import AttarError, RecipeError, RunError, redacted, system_error
from attar.io.files import content_hash, file_hash, same_rights
from attar.io.folders import (
    check_out,
    check_room,
    check_writable,
    has_files,
    is_writable,
    remove_folder,
)
from attar.io.leftovers import leftovers
from attar.io.locks import locked
from attar.io.publish import mend, publish
from attar.io.stamps import (
    UNFINISHED,
    adopt_earlier_stamp,
    beside,
    drop_state,
    earlier_stamp,
    has_results,
    is_resumable,
    is_whole,
    output_hashes,
    read_stamp,
    stamp_path,
    stamp_sizes,
    write_draft_stamp,
    write_stamp,
)
from attar.system_info import package_versions, processor_and_threads

__all__ = ["fingerprint", "is_finished", "is_first_process", "run_stage", "without_secrets"]

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
# Whose versions may change a result; `attar run --repeat` compares them.
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scikit-learn", "onnx", "onnxruntime")


def run_stage(  # noqa: PLR0913 - a stage is one call
    folder: Path,
    name: str,
    inputs: Mapping[str, Any],
    work: Callable[[Path], object],
    *,
    paths_read: Sequence[Path] = (),
    earlier: Mapping[str, Any] | None = None,
    again: Callable[[], Mapping[str, Any]] | None = None,
    shared: bool = False,
) -> bool:
    """Do a stage's work unless its folder already holds the result.

    Args:
        folder: The stage's result. An earlier one of the same stage is replaced at the end; files in it
            that the stage did not write, or that were changed since, move along.
        name: The verb.
        inputs: Everything that the result depends on, as JSON.
        work: Writes the result into the draft folder that it is given; that of an interrupted stage
            with the same inputs holds what was there.
        paths_read: Files and folders that the stage reads; the folder must be apart from them.
        earlier: The same inputs as an earlier version of attar wrote them; a folder made from these is
            as good, and its stamp is brought up to date.
        again: Gives the inputs once more, at the end: they must not have changed meanwhile.
        shared: Whether all processes of a torchrun launch do the work together.

    Returns:
        Whether the work was done (False: it was up to date).

    Raises:
        RunError: The folder cannot be written, is or touches an input, or holds what this stage did not
            write; another process is at work in it; an input changed meanwhile; the system gave an error.
    """
    inputs = without_secrets(inputs)
    now, then = (content_hash({"stage": name, "inputs": each}) for each in (inputs, earlier or inputs))
    same = {now, then}
    if not is_first_process():
        return _follow(folder.resolve(), same, work if shared else None)
    folder = check_out(folder, paths_read)
    if _is_read_only(folder, name, same):
        return False
    with _own_errors(f"{name} -> {folder}"), locked(folder):
        mend(folder)
        before = _stamp_of_stage(folder, name)
        if before is not None and _is_up_to_date(folder, name, before, same):
            if before["fingerprint"] != now:
                write_stamp(folder, before | {"fingerprint": now, "inputs": inputs})
            return False
        check_room(folder, sum(stamp_sizes(folder).values()))
        stamp = {"stage": name, "fingerprint": now, "inputs": inputs, "outputs": None}
        draft = _open_draft(folder, stamp, same)
        if not is_whole(draft, read_stamp(draft), same):
            _run(draft, work, stamp, again)
        drop_state(draft)
        publish(draft, folder)
        seconds = (read_stamp(folder) or {}).get("seconds", 0)
        _LOG.info("%s: done in %.0f s -> %s", name, seconds, folder)
        return True


def _is_read_only(folder: Path, name: str, same: Collection[str]) -> bool:
    """Whether a folder is up to date where nothing can be written: to read it is enough.

    Raises:
        RunError: Nothing can be written there, and it is not.
    """
    if is_writable(folder):
        return False
    if not is_whole(folder, read_stamp(folder) or earlier_stamp(folder), same):
        check_writable(folder)
    _LOG.info("%s: up to date: %s", name, folder)
    return True


def _is_up_to_date(folder: Path, name: str, before: Mapping[str, Any], same: Collection[str]) -> bool:
    """Whether a folder with such a stamp is whole and made from the same inputs, which is logged."""
    if is_whole(folder, before, same):
        _LOG.info("%s: up to date: %s", name, folder)
        return True
    changed = "its files" if before["fingerprint"] in same else "inputs"
    _LOG.info("%s: %s changed, rebuilding %s", name, changed, folder)
    return False


@contextlib.contextmanager
def _own_errors(what: str) -> Iterator[None]:
    """Turn an error of the system, a full disk or missing rights, into a RunError."""
    try:
        yield
    except Exception as error:
        said = system_error(error)
        if said is None:
            raise
        raise RunError(f"{what}: {said}; the same command resumes what it can") from error


def _run(
    draft: Path,
    work: Callable[[Path], object],
    stamp: Mapping[str, Any],
    again: Callable[[], Mapping[str, Any]] | None,
) -> None:
    """Do the work in a draft and stamp it as whole."""
    started = time.monotonic()
    try:
        work(draft)
        if again is not None and _changed(again, stamp["inputs"]):
            write_draft_stamp(draft, {**stamp, "changed": True})
            raise RunError(
                f"{stamp['stage']}: what it reads was changed while it ran, so the result may be of both; it "
                f"is in {draft}, not finished. Run the same command again when nothing else writes there"
            )
        (draft / UNFINISHED).unlink(missing_ok=True)
        same_rights(draft, stamp_path(draft))  # which follows the umask
        outputs, sizes = output_hashes(draft), stamp_sizes(draft)
        versions = {"attar": __version__, "python": platform.python_version()} | package_versions(_PACKAGES)
        seconds = round(time.monotonic() - started, 1)
        more = {"outputs": outputs, "sizes": sizes, "versions": versions, "seconds": seconds}
        write_stamp(draft, {**stamp, **more, "machine": processor_and_threads()})
    except BaseException as error:
        with contextlib.suppress(OSError):
            if not has_results(draft):
                remove_folder(draft)
        if isinstance(error, KeyboardInterrupt) and draft.is_dir():
            _LOG.warning("%s: not finished; what there is so far is in %s", stamp["stage"], draft)
        raise


def _changed(again: Callable[[], Mapping[str, Any]], inputs: Mapping[str, Any]) -> bool:
    try:
        return content_hash(without_secrets(again())) != content_hash(inputs)
    except AttarError:  # gone, or not finished
        return True


def without_secrets(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as JSON holds them, their addresses without user and options."""

    def clean(value: Any) -> Any:  # noqa: ANN401 - JSON is any
        match value:
            case str():
                return redacted(value)
            case dict():
                return {key: clean(one) for key, one in value.items()}
            case list():
                return [clean(one) for one in value]
        return value

    return dict(clean(json.loads(json.dumps(inputs, ensure_ascii=False, default=str))))


def _stamp_of_stage(folder: Path, name: str) -> dict[str, Any] | None:
    """The stamp of a stage's earlier result; None where there is nothing.

    What an earlier version left unfinished in the folder becomes a draft.

    Raises:
        RunError: Something else is there, or another stage's.
    """
    if not folder.is_dir():
        return None
    stamp = read_stamp(folder)
    before = stamp if stamp is not None else earlier_stamp(folder)
    if before is None:
        foreign = sorted(path.name for path in folder.iterdir())
        if not foreign:
            return None
        raise RunError(
            f"{folder} is not empty ({', '.join(foreign[:5])}) and was not written by attar; "
            "name another folder with --out"
        )
    if before["stage"] != name:
        raise RunError(
            f"{folder} was written by the stage {before['stage']!r}, not by {name!r}; name another folder "
            "with --out, or remove that one first"
        )
    if stamp is None:
        adopt_earlier_stamp(folder, before)
    if before["outputs"] is not None:
        return before
    draft = beside(folder, "draft")
    if draft.exists():
        raise RunError(f"{folder} and {draft} are both unfinished; remove one of them")
    folder.rename(draft)
    return None


def _open_draft(folder: Path, stamp: Mapping[str, Any], same: Collection[str]) -> Path:
    """The draft to work in: an unfinished one of the same inputs, or a new one."""
    draft = beside(folder, "draft")
    found = read_stamp(draft)
    if found is None and draft.is_dir() and not draft.is_symlink():
        _remove_leftovers(draft)  # of a kill before the first stamp was whole
    if found is None and has_files(draft):
        raise RunError(f"{draft} is in the way: the result is made there; move it, or name another --out")
    if found is not None and found["stage"] != stamp["stage"] and is_resumable(draft):
        raise RunError(
            f"{draft} is an unfinished {found['stage']!r}; finish that, remove it, or name another --out"
        )
    if found is not None:
        if found["stage"] == stamp["stage"] and found["fingerprint"] in same and not found.get("changed"):
            _LOG.info("%s: resuming in %s", stamp["stage"], draft)
            if found["outputs"] is None:
                _remove_leftovers(draft)
                write_draft_stamp(draft, stamp)
            return draft
        _LOG.info("%s: inputs changed, starting over in %s", stamp["stage"], draft)
        remove_folder(draft)
    draft.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        shutil.copymode(folder, draft)
    write_draft_stamp(draft, stamp)
    return draft


def _remove_leftovers(draft: Path) -> None:
    for left in leftovers(draft):
        remove_folder(left.path) if left.path.is_dir() else left.path.unlink()


def is_finished(folder: Path) -> bool:
    """Whether a stage finished in a folder, whatever it was made from."""
    stamp = read_stamp(folder) or earlier_stamp(folder)
    return stamp is not None and stamp["outputs"] is not None


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of a torchrun launch."""
    return os.environ.get("RANK", "0") == "0"


def _follow(folder: Path, same: Collection[str], work: Callable[[Path], object] | None) -> bool:
    """What the other processes of a launch do: what is shared, then wait for the first one's stamp."""
    draft, done = beside(folder, "draft"), False
    while not is_whole(folder, read_stamp(folder) or earlier_stamp(folder), same):
        stamp = None if done else read_stamp(draft)
        ready = stamp is not None and stamp["outputs"] is None and not stamp.get("changed")
        if stamp is not None and ready and stamp["fingerprint"] in same:
            if work is not None:
                work(draft)
            done = True
        time.sleep(_POLL_SECONDS)
    return done


def fingerprint(path: Path) -> str:
    """Hash of what a stage paths_read: a file's bytes, a finished stage's outputs, or a folder's files.

    Raises:
        RecipeError: There is nothing at ``path``.
        RunError: A stage in it did not finish.
    """
    if path.is_file():
        return file_hash(path)
    stamp = (read_stamp(path) or earlier_stamp(path)) if path.is_dir() else read_stamp(beside(path, "draft"))
    if not path.is_dir() and stamp is None:
        raise RecipeError(f"{path} does not exist")
    if stamp is None:
        return content_hash(output_hashes(path))
    if stamp["outputs"] is None or not path.is_dir():
        raise RunError(f"{path}: the stage {stamp['stage']!r} did not finish; run it again to resume")
    there = [name for name in stamp["outputs"] if (path / name).is_file()]
    return content_hash({name: file_hash(path / name) for name in there})
