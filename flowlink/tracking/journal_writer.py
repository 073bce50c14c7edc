"""One journal's pen: batches of records into prepared segments, each synced before it counts.

Blocking, and used by one thread at a time. After an error it is spent: a file that failed once is
never written again, because a second sync of it may succeed without the pages of the first.
"""

import errno
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flowlink.tracking import journal_format as form, segment as files
from flowlink.tracking.journal_format import State
from flowlink.tracking.segment import Haste, NoRoom, Position, Segment

_RETRIES_PER_SEGMENT = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a journal may take: of the disk, and of memory while the disk is busy."""

    segment_bytes: int = 64 * 1024 * 1024
    backlog_bytes_max: int = 10 * 1024 * 1024 * 1024
    free_bytes_min: int = 512 * 1024 * 1024
    batch_bytes_max: int = 1024 * 1024
    waiting_bytes_max: int = 16 * 1024 * 1024
    stall_s_max: float = 3.0

    def __post_init__(self) -> None:
        assert self.batch_bytes_max <= self.segment_bytes - form.BLOCK, "a batch fits a segment"


class Writer:
    """Owns a directory below `root`, with a fresh segment of its own in it."""

    def __init__(self, root: Path, *, bounds: Bounds) -> None:
        self._bounds = bounds
        self._haste = Haste()
        self._segment: Segment
        self._spare: Future[Segment]
        self._offset = self._sequence = self._retry_at = 0
        self.directory, self._lock = files.claim(root)
        try:
            self.edge = files.identify(self.directory)
            files.sweep(self.directory)
            self._haste.hurry.set()
            segment = self._prepare(self._last_number() + 1)
            self._enter(segment, _opened(segment))
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def position(self) -> Position:
        """Where the next record will begin, unless it needs the next segment."""
        return Position(self._segment.key, self._offset, self._sequence)

    def put(self, records: Sequence[bytes], *, size: int) -> None:
        """Bring a batch to the disk: `size` bytes with its frames. It counts from `count` on.

        :raises OSError: nobody knows what is on the disk. Call nothing but `give_up`.
        """
        if self._offset + size > self._bounds.segment_bytes:
            self._turn()
        frames = form.pack_frames(records, salt=self._segment.salt, sequence=self._sequence)
        assert len(frames) == size
        files.write_durably(self._file, frames, self._offset)
        self._offset += size
        self._sequence += len(records)
        self._retry_spare()

    def count(self) -> None:
        """Let readers see the batch.

        :raises OSError: they will not. Call nothing but `give_up`.
        """
        self._write_mark(State.OPEN)
        self._counted = (self._offset, self._sequence)

    def give_up(self) -> None:
        """Leave the segment for good; what was put and not counted stays uncounted."""
        self._offset, self._sequence = self._counted
        self._leave(State.FAILED)

    def close(self) -> None:
        """Leave the segment, full or not: whoever comes next takes a fresh one."""
        self._leave(State.CLOSED)

    def _leave(self, state: State) -> None:
        self._haste.stop.set()
        with suppress(OSError):
            files.remove(self._spare.result())
        with suppress(OSError):  # the disk may be gone: then the last mark stands
            self._write_mark(state)
            os.fsync(self._mark_file)
        for descriptor in (self._mark_file, self._file, self._lock):
            os.close(descriptor)

    def _turn(self) -> None:
        """Go on in the next segment, which should be there already."""
        if self._spare.done() and self._spare.exception() is not None:
            self._spare = self._ahead()
        self._haste.hurry.set()
        following = self._spare.result()
        opened = _opened(following)
        with suppress(OSError):  # the mark says as much already; this one outlives a power cut
            self._write_mark(State.CLOSED)
        os.close(self._file)
        self._enter(following, opened, before=self._mark_file)

    def _enter(
        self, segment: Segment, opened: tuple[int, int], *, before: int | None = None
    ) -> None:
        self._segment = segment
        self._file, self._mark_file = opened
        self._offset, self._sequence = self._counted = form.BLOCK, 0
        self._retry_at = 0
        self._haste.hurry.clear()
        self._spare = self._ahead(before=before)
        self.count()

    def _write_mark(self, state: State) -> None:
        mark = form.pack_mark(
            state, offset=self._offset, records=self._sequence, salt=self._segment.salt
        )
        if os.pwrite(self._mark_file, mark, 0) != len(mark):
            raise OSError(errno.EIO, "the mark was cut short")

    def _retry_spare(self) -> None:
        """Try again for the next segment now and then: the disk may have room by now."""
        if self._offset < self._retry_at or not self._spare.done():
            return
        self._retry_at = self._offset + self._bounds.segment_bytes // _RETRIES_PER_SEGMENT
        if self._spare.exception() is not None:
            self._spare = self._ahead()

    def _ahead(self, *, before: int | None = None) -> "Future[Segment]":
        """Prepare the next segment in the background, and sync the mark of the one before."""
        promise: Future[Segment] = Future()
        number = self._segment.number + 1

        def prepare() -> None:
            if before is not None:
                with suppress(OSError):
                    os.fsync(before)
                os.close(before)
            try:
                promise.set_result(self._prepare(number))
            except OSError as error:
                promise.set_exception(error)

        threading.Thread(target=prepare, name="journal-prepare", daemon=True).start()
        return promise

    def _prepare(self, number: int) -> Segment:
        bounds = self._bounds
        held = len(files.listed(self.directory, edge=self.edge)) * bounds.segment_bytes
        if held + bounds.segment_bytes > bounds.backlog_bytes_max:
            raise NoRoom(errno.ENOSPC, "the journal has its share of the disk")
        return files.create(
            self.directory,
            edge=self.edge,
            number=number,
            size=bounds.segment_bytes,
            free_bytes_min=bounds.free_bytes_min,
            haste=self._haste,
        )

    def _last_number(self) -> int:
        segments = files.listed(self.directory, edge=self.edge)
        return segments[-1].number if segments else 0


def _opened(segment: Segment) -> tuple[int, int]:
    file = os.open(segment.path, os.O_WRONLY)
    try:
        return file, os.open(segment.mark_path, os.O_WRONLY)
    except OSError:
        os.close(file)
        raise
