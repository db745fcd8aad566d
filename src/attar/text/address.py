"""Whether a text is only the address of a text: a link, a path of Label Studio or of a bucket, a data URI.

Tools that import texts by address (Label Studio's ``valueType="url"``) export the address, and offsets
that belong to the text behind it.
"""

from __future__ import annotations

import re

__all__ = ["is_address"]

# A review may begin with a link: only what is an address to its end counts.
_FILE = r"[^\n]*\.[A-Za-z0-9]{1,5}(?:[?#][^\n]*)?"
_ADDRESS = re.compile(
    rf"""
      [A-Za-z][A-Za-z0-9+.-]*:// (?: [!-~]+ | {_FILE} )                   # http, s3, gs, azure-blob, file ...
    | data:[A-Za-z0-9.+-]*/?[A-Za-z0-9.+-]*(?:;[A-Za-z0-9=._-]+)*,\S*     # data URI
    | /?(?:data/)?upload/\d+/[^\n]+                                       # a file uploaded to Label Studio
    | /data/(?:local-files|upload)/\S[^\n]*                               # its local storage
    | /(?:api/)?(?:tasks|projects)/\d+/(?:resolve|presign|file-proxy)/\S* # what it serves of a bucket
    | (?:/|\.{{1,2}}/|~/|[A-Za-z]:[\\/]|\\\\) {_FILE}                     # a path
    """,
    re.VERBOSE,
)


def is_address(text: str) -> bool:
    """Whether the whole text is an address or a path."""
    # Most reviews have neither, which is quicker to see.
    return ("/" in text or "\\" in text or "data:" in text) and _ADDRESS.fullmatch(text.strip()) is not None
