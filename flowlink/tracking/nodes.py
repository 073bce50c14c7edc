"""The number that an edge's click ids carry, remembered beside its journal.

Who starts while nobody can give out numbers goes on under the last one of its directory, which no
other process has at the same time. The database gives a number to another edge only after all
others had their turn, and the edge asks for a fresh one as soon as it can.
"""

import os
from contextlib import suppress
from pathlib import Path

from flowlink.tracking.segment import Taken, held


def keep(directory: Path, node: int) -> None:
    """Remember a number. The directory's lock must be held.

    :raises OSError:
    """
    scratch = directory / "node.new"
    with scratch.open("w") as file:
        file.write(f"{node}\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(directory / "node")


def recall(directory: Path) -> int | None:
    """The number that was last kept here."""
    with suppress(OSError, ValueError):
        return int((directory / "node").read_text())
    return None


def of_next(root: Path) -> int | None:
    """The number in the journal that the next process below `root` would take over, if any."""
    for slot in sorted(root.glob("*/lock")):
        with suppress(Taken), held(slot):
            return recall(slot.parent)
    return None


def forget(directory: Path) -> None:
    """Nobody may go on under this number: its process lives, and writes elsewhere."""
    with suppress(OSError):
        (directory / "node").unlink()


def used_until_ms(directory: Path) -> int:
    """When the last click was written here, by the clock of then, which may have stood later.

    Marks are written after each batch.
    """
    times = [path.stat().st_mtime_ns for path in directory.glob("*.mark")]
    return max(times, default=0) // 1_000_000 + 1
