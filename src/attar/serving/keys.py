"""API keys: from the environment, from a file, or from both; read again on SIGHUP.

A file has a key a line; ``admin KEY`` is one that may reload the models too, ``#`` begins a comment.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from attar.errors import RecipeError

__all__ = ["ADMIN_VARIABLE", "KEYS_VARIABLE", "KEY_VARIABLE", "Keys", "key_from_environment"]

ADMIN_VARIABLE = "ATTAR_ADMIN_KEY"
KEYS_VARIABLE = "ATTAR_API_KEYS"
KEY_VARIABLE = "ATTAR_API_KEY"

_KEY = re.compile(r"[\x21-\x7e]+")
_MAX_BYTES = 1 << 20


def key_from_environment(environment: Mapping[str, str], variable: str = KEY_VARIABLE) -> str | None:
    """A key that clients must send, or None if the variable is not set.

    Raises:
        RecipeError: It is set to a value that no client could send; the message does not show it.
    """
    key = environment.get(variable)
    if key is not None and not _KEY.fullmatch(key):
        raise RecipeError(
            f"{variable} is empty, or holds spaces or characters that are not ASCII; "
            "set it to a key, or unset it to serve anyone"
        )
    return key


@dataclass(frozen=True, slots=True)
class _KeySet:
    clients: frozenset[bytes] = frozenset()
    admins: frozenset[bytes] = frozenset()


class Keys:
    """The keys of a service.

    Args:
        environment: Has ``ATTAR_API_KEY`` (one), ``ATTAR_API_KEYS`` (several, with blanks between) and
            ``ATTAR_ADMIN_KEY``, or none of them.
        file: More keys; None where there is no file.

    Raises:
        RecipeError: A key is one that no client could send, or the file cannot be read or has no key.
    """

    def __init__(self, environment: Mapping[str, str], file: Path | None = None) -> None:
        self._environment, self._file = dict(environment), file
        self._known = self._read()

    @classmethod
    def of(cls, key: str | None) -> Keys:
        """One key, or none: anyone is served."""
        return cls({} if key is None else {KEY_VARIABLE: key})

    @property
    def has_admin(self) -> bool:
        """Whether somebody may reload the models."""
        return bool(self._known.admins)

    @property
    def is_open(self) -> bool:
        """Whether anyone is served."""
        return not self._known.clients

    def reload(self) -> None:
        """Read the file again; after an error the keys stay as they were.

        Raises:
            RecipeError: As when it was read first.
        """
        self._known = self._read()

    def allow(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header has the key of a client, or of an admin."""
        return self.is_open or _is_among(authorization, self._known.clients | self._known.admins)

    def allow_admin(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header has the key of an admin."""
        return _is_among(authorization, self._known.admins)

    def _read(self) -> _KeySet:
        clients = [key_from_environment(self._environment)]
        admins = [key_from_environment(self._environment, ADMIN_VARIABLE)]
        several = self._environment.get(KEYS_VARIABLE)
        if several is not None:
            listed = several.split()
            if not listed or not all(map(_KEY.fullmatch, listed)):
                raise RecipeError(
                    f"{KEYS_VARIABLE} is empty, or holds characters that are not ASCII; set it to keys with "
                    "blanks between them, or unset it"
                )
            clients += listed
        if self._file is not None:
            for key, is_admin in _lines(self._file):
                (admins if is_admin else clients).append(key)
            if not any(clients):
                raise RecipeError(f"{self._file}: holds no key for clients; write one a line")
        return _KeySet(_hashed(clients), _hashed(admins))


def _lines(file: Path) -> list[tuple[str, bool]]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RecipeError(f"{file}: the keys cannot be read: {reason}") from None
    if len(text) > _MAX_BYTES:
        raise RecipeError(f"{file}: is longer than {_MAX_BYTES} bytes, which is no list of keys")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = [] if line.lstrip().startswith("#") else line.split()
        is_admin = words[:1] == ["admin"] and len(words) == 2
        if not words:
            continue
        if len(words) > 1 + is_admin or not _KEY.fullmatch(words[-1]):
            raise RecipeError(f"{file}:{number}: expected KEY or 'admin KEY', of ASCII without blanks")
        found.append((words[-1], is_admin))
    return found


def _hashed(keys: Iterable[str | None]) -> frozenset[bytes]:
    return frozenset(hashlib.sha256(key.encode()).digest() for key in keys if key)


def _is_among(authorization: str, known: frozenset[bytes]) -> bool:
    """Whether a bearer's key is a known one, in a time that depends on neither."""
    scheme, _, given = authorization.partition(" ")
    digest = hashlib.sha256(given.strip().encode()).digest()
    # Every one is compared: which of them it was cannot be timed.
    matches = [hmac.compare_digest(digest, one) for one in known]
    return scheme.lower() == "bearer" and any(matches)
