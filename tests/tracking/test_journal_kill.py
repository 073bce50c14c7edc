"""kill -9 at random moments: every acknowledged record is there, once, in order."""

import multiprocessing
import secrets
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from flowlink.tracking import segment as files
from flowlink.tracking.journal_reader import Reader
from tests.tracking.journal_process import write_for_ever
from tests.tracking.journals import read_all, segments

ROUNDS = 20


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that start at once, because what they import is there already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.tracking.journal_process"])
    return context


def one_life(
    processes: ForkServerContext, root: Path, first: int, *, opened: bool = True
) -> list[int]:
    """Let a process write numbers from `first` on, kill it, and say which ones it acknowledged.

    Once it has `opened` its journal, or else at any moment, also while it does that.
    """
    acknowledged: list[int] = []
    begun = threading.Event()
    answers, reports = processes.Pipe(duplex=False)
    writer = processes.Process(target=write_for_ever, args=(root, first, reports))
    writer.start()
    reports.close()
    listener = threading.Thread(target=_listen, args=(answers, acknowledged, begun))
    listener.start()
    if opened:
        assert begun.wait(60)
    writer.join(secrets.randbelow(200) / 1000)
    writer.kill()
    writer.join()
    listener.join()
    return acknowledged


def _listen(answers: Connection, acknowledged: list[int], begun: threading.Event) -> None:
    try:
        while True:
            acknowledged.append(int.from_bytes(answers.recv_bytes()))
            begun.set()
    except EOFError:
        answers.close()


class Follower(threading.Thread):
    """Reads along while the others write and die."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._reader = Reader(directory)
        self._stop_asked = threading.Event()
        self.records: list[bytes] = []
        self.losses: list[object] = []

    def run(self) -> None:
        while True:
            last = self._stop_asked.is_set()
            batch = self._reader.read()
            self.records += batch.records
            self.losses += batch.losses
            if not batch.records and self._stop_asked.wait(0.001) and last:
                break
        self._reader.close()

    def finish(self) -> None:
        self._stop_asked.set()
        self.join()


def test_what_was_acknowledged_before_the_kill_is_there_once_and_in_order(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    acknowledged = one_life(processes, tmp_path, 0)
    [directory] = files.directories(tmp_path)
    follower = Follower(directory)
    follower.start()

    for number in range(1, ROUNDS):
        acknowledged += one_life(processes, tmp_path, number << 32, opened=number % 2 == 0)

    follower.finish()
    found = read_all(directory)
    numbers = [int.from_bytes(record[:8]) for record in found.records]
    assert len({number >> 32 for number in acknowledged}) >= ROUNDS // 2
    assert numbers == sorted(set(numbers))
    assert set(acknowledged) <= set(numbers)
    assert found.losses == []
    assert (follower.records, follower.losses) == (found.records, [])
    assert files.directories(tmp_path) == [directory]
    assert len(segments(directory)) >= ROUNDS // 2
