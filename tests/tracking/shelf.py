"""A store in memory that can be away, lose its answer, and refuse records."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flowlink.tracking.journal_reader import Batch, Loss
from flowlink.tracking.segment import START, Position
from flowlink.tracking.shipper import Away, Moved, Refused


@dataclass
class Shelf:
    """Keeps records and position together. Each call meets the next of `troubles`, if any is left:
    "away" before anything is kept, "answer lost" after.
    """

    troubles: Iterator[str] = field(default_factory=lambda: iter(()))
    impossible: frozenset[bytes] = frozenset()
    records: list[bytes] = field(default_factory=list)
    aside: list[bytes] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    at: Position = START
    batches: int = 0

    def position(self, *, edge: str) -> Position:
        if next(self.troubles, "") == "away":
            raise Away("away")
        return self.at

    def kept(self, *, edge: str) -> Position:
        return self.at

    def take(self, batch: Batch, *, edge: str, after: Position) -> None:
        trouble = next(self.troubles, "")
        if trouble == "away":
            raise Away("away")
        if self.impossible & set(batch.records):
            raise Refused("impossible")
        self._keep(batch, after, self.records)
        if trouble == "answer lost":
            raise Away("answer lost")

    def set_aside(self, batch: Batch, *, edge: str, after: Position, reason: str) -> None:
        self._keep(batch, after, self.aside)

    def _keep(self, batch: Batch, after: Position, where: list[bytes]) -> None:
        if after != self.at:
            raise Moved
        where += batch.records
        self.losses += batch.losses
        self.at = batch.position
        self.batches += 1
