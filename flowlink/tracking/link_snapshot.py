"""The link table on disk, so that an edge can start while nobody can tell it the links.

    magic 8 | links, by `LinkTable.packed` | what they share, as JSON | its length 4 | MAC 32

One process a machine writes it: when links have changed, at most once a minute, and when it ends.
While nothing changes it sets the file's time, which says until when the file was true. Keyed, so
that neither damage nor another installation's file nor anybody else's passes for ours. The salts
in it are encrypted. (Part of the edge: async.)
"""

import asyncio
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from struct import Struct
from time import monotonic
from typing import BinaryIO

from cryptography.fernet import InvalidToken

from flowlink.kernel import clock, crypto, logs, tasks
from flowlink.tracking import segment as files
from flowlink.tracking.link_source import SourceAway
from flowlink.tracking.link_table import LinkTable

AGE_MAX = timedelta(days=1)
_MAGIC = b"FLWLINK1"
_LENGTH = Struct("<I")
_MAC_BYTES = 32
_PURPOSE = "links.snapshot"
_PAGE = 2000
_LOCK = "links.lock"

Salts = Mapping[int, bytes]


class Unusable(Exception):
    """There is no snapshot, or none that may be believed; the message says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the file's time is set, and how often at most the file is written."""

    beat_s: float = 10.0
    rewrite_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Until when the snapshot was true, and whether an edge takes care of it now."""

    true_at: datetime
    in_use: bool


class Keeping:
    """Keeps the table of one edge on disk, while `truth` is set.

    Bound to the event loop it was made in.
    """

    def __init__(
        self,
        root: Path,
        *,
        table: LinkTable,
        truth: asyncio.Event,
        salts: Callable[[], Salts],
        pace: Pace | None = None,
    ) -> None:
        self._root = root
        self._table = table
        self._truth = truth
        self._salts = salts
        self._pace = pace or Pace()
        self._lock = -1
        self._written: object = None
        self._written_s = float("-inf")
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Write what has changed, and leave it to others."""
        await tasks.end([self._task])
        if self._truth.is_set():
            self._written_s = float("-inf")
            await self._beat()
        self.abandon()

    def abandon(self) -> None:
        """Let others write it, from outside the loop, which may be gone."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    async def _keep(self) -> None:
        while True:
            await self._truth.wait()
            await self._beat()
            await asyncio.sleep(self._pace.beat_s)

    async def _beat(self) -> None:
        """Make the file as true as the table is, unless another process does."""
        state = (self._table.version, *self._salts())
        try:
            if self._lock < 0:
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock = files.hold(self._root / _LOCK)
            if state == self._written:
                now_s = clock.unix_ms() / 1000
                os.utime(path_in(self._root), (now_s, now_s))
            elif monotonic() - self._written_s >= self._pace.rewrite_s:
                await write(self._root, self._table, salts=self._salts())
                self._written, self._written_s = state, monotonic()
        except files.Taken:
            return
        except OSError as error:
            self._written = None
            logs.get().warning("links are not kept on disk", error=str(error)[:200])


def path_in(root: Path) -> Path:
    """The snapshot beside the journals."""
    return root / "links.snapshot"


def standing(root: Path) -> Standing | None:
    """How the snapshot stands, if there is one."""
    try:
        true_at = datetime.fromtimestamp(path_in(root).stat().st_mtime, UTC)
        with files.held(root / _LOCK):
            return Standing(true_at, in_use=False)
    except FileNotFoundError:
        return None
    except files.Taken:
        return Standing(true_at, in_use=True)


async def write(root: Path, table: LinkTable, *, salts: Salts) -> None:
    """Replace the snapshot, some links at a time: clicks are answered in between.

    :raises OSError:
    """
    true_s = clock.unix_ms() / 1000
    scratch = path_in(root).with_suffix(".new")
    mac = blake2b(key=crypto.derived(_PURPOSE)[0], digest_size=_MAC_BYTES)
    descriptor = os.open(scratch, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:

        def put(piece: bytes) -> None:
            mac.update(piece)
            file.write(piece)

        put(_MAGIC)
        keys = table.keys()
        for at in range(0, len(keys), _PAGE):
            await asyncio.to_thread(put, table.packed(keys[at : at + _PAGE]))
        sealed = {day: b64encode(crypto.encrypt(salt)).decode() for day, salt in salts.items()}
        # Last, for links may have come that share something new.
        rest = json.dumps({**table.shared(), "salts": sealed}).encode()
        put(rest + _LENGTH.pack(len(rest)))
        await asyncio.to_thread(_finish, file, mac.digest())
    os.utime(scratch, (true_s, true_s))
    scratch.rename(path_in(root))
    files.sync(root)


async def restore(root: Path, table: LinkTable, *, now: datetime) -> Salts:
    """Make the table what the snapshot has; returns the salts by the days since 1970.

    :raises SourceAway: nor is there a snapshot that may be believed.
    """
    try:
        salts = await asyncio.to_thread(read, root, table, now=now)
    except (Unusable, OSError) as problem:
        raise SourceAway(f"nobody tells the links: {problem}") from problem
    logs.get().warning("links are those of the snapshot", links=len(table))
    return salts


def read(root: Path, table: LinkTable, *, now: datetime) -> Salts:
    """The same at once.

    :raises Unusable: :raises OSError:
    """
    path = path_in(root)
    if not path.exists():
        raise Unusable("there is no snapshot")
    age = now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if age > AGE_MAX:
        path.unlink(missing_ok=True)  # nobody may ever use it, and salts are not kept for long
        raise Unusable(f"the snapshot is from {age.days} days ago")
    data = memoryview(path.read_bytes())
    body, check = data[:-_MAC_BYTES], bytes(data[-_MAC_BYTES:])
    keys = crypto.derived(_PURPOSE)
    macs = [blake2b(body, key=key, digest_size=_MAC_BYTES).digest() for key in keys]
    if bytes(body[: len(_MAGIC)]) != _MAGIC or not any(compare_digest(check, one) for one in macs):
        raise Unusable("the snapshot is damaged, or not of this installation")
    body, (length,) = body[: -_LENGTH.size], _LENGTH.unpack(body[-_LENGTH.size :])
    rest = json.loads(bytes(body[-length:]))
    table.restore(body[len(_MAGIC) : -length], rest)
    return _opened(rest["salts"])


def _opened(sealed: Mapping[str, str]) -> Salts:
    salts: dict[int, bytes] = {}
    with suppress(InvalidToken):
        salts.update((int(day), crypto.decrypt(b64decode(one))) for day, one in sealed.items())
    return salts


def _finish(file: BinaryIO, mac: bytes) -> None:
    file.write(mac)
    file.flush()
    os.fsync(file.fileno())
