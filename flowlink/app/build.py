"""Which build this is: the version, and a digest of the code that runs."""

import hashlib
from functools import cache
from pathlib import Path

import flowlink
from flowlink.app import registry

_LETTERS = 10


@cache
def id_of() -> str:
    """The same for the same code, wherever it lies."""
    digest = hashlib.blake2b(digest_size=_LETTERS // 2)
    root = Path(flowlink.__path__[0])
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{registry.version()}-{digest.hexdigest()}"
