"""Disks of a test's own: a tiny one, and one that can hang and be looked into. Root only."""

import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SIZE = 32 * 1024 * 1024
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@contextmanager
def mounted(place: Path, *command: str) -> Generator[Path]:
    """Mount something at a place, or skip the test that wants it."""
    place.mkdir()
    done = subprocess.run(["mount", *command, str(place)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("only root can mount a disk of its own")
    try:
        yield place
    finally:
        subprocess.run(
            ["fsfreeze", "--unfreeze", str(place)],
            env=_PATH,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def tiny(place: Path) -> Generator[Path]:
    """A file system of one megabyte."""
    with mounted(place, "-t", "tmpfs", "-o", "size=1m", "tmpfs") as disk:
        yield disk


@dataclass(frozen=True)
class Disk:
    """A file system on a disk that is a file: what was not flushed is not in there."""

    image: Path
    place: Path

    def freeze(self) -> None:
        """Let every write hang."""
        subprocess.run(["fsfreeze", "--freeze", str(self.place)], check=True, env=_PATH)

    def thaw(self) -> None:
        subprocess.run(["fsfreeze", "--unfreeze", str(self.place)], check=True, env=_PATH)

    @contextmanager
    def after_power_cut(self) -> Iterator[Path]:
        """The disk as it would be found if the power went now."""
        copy = self.image.with_suffix(".copy")
        shutil.copyfile(self.image, copy)
        with mounted(self.place.with_suffix(".copy"), "-o", "loop", str(copy)) as found:
            yield found
        self.place.with_suffix(".copy").rmdir()


@contextmanager
def ext4(folder: Path) -> Generator[Disk]:
    """A disk of 32 MB."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(_SIZE)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, env=_PATH)
    with mounted(folder / "disk", "-o", "loop", str(image)) as place:
        yield Disk(image, place)
