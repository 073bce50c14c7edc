"""Disks that stop at an awkward moment: what counts, and what is whole."""

import asyncio
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flowlink.tracking import segment
from flowlink.tracking.journal import Journal
from flowlink.tracking.journal_writer import Writer
from tests.tracking.journals import TINY, read_all

LIMIT = 1 << 30


class LateMark(Writer):
    """A disk that hangs for a while once the records are down, at the mark."""

    hangs_s = 0.0

    def count(self) -> None:
        super().count()
        time.sleep(self.hangs_s)


def test_what_counts_already_is_not_given_up(tmp_path: Path) -> None:
    async def scenario() -> Path:
        bounds = replace(TINY, stall_s_max=2.0)
        writer = LateMark(tmp_path, bounds=bounds)
        journal = Journal(writer, bounds=bounds)
        writer.hangs_s = 3.0
        await journal.append(b"kept, and told so")
        writer.hangs_s = 0.0
        assert journal.failed is None
        await journal.close()
        return journal.directory

    directory = asyncio.run(scenario())

    assert read_all(directory).records == [b"kept, and told so"]


def test_a_write_that_was_cut_short_goes_on_or_fails(tmp_path: Path) -> None:
    """The system's limit on a file's size cuts a write short, as a disk does that becomes full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
        with pytest.raises(OSError, match="too large"):
            segment.write_durably(descriptor, bytes(150), LIMIT - 50)
        segment.write_durably(descriptor, b"whole", LIMIT - 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        os.close(descriptor)

    assert (tmp_path / "file").stat().st_size == LIMIT
