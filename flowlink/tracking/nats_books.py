"""How an edge without a database learns how far its journals are kept, and says how they stand."""

from collections.abc import Sequence
from datetime import datetime

from flowlink.kernel.nats import Hub, Unreachable
from flowlink.tracking import nats_asks as asks, nats_wire as wire
from flowlink.tracking.segment import Position
from flowlink.tracking.shipper import Away
from flowlink.tracking.shipping import Standing


class NatsBooks:
    """Asks consumers (see `shipping.Books`)."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def position(self, *, edge: str) -> Position:
        """How far a consumer says that this journal is in PostgreSQL."""
        position = wire.unpack_position(self._ask(wire.position_subject(edge), b""))
        if position is None:
            raise Away("the consumers have no database")
        return position

    def tell(self, standings: Sequence[Standing], *, now: datetime) -> None:
        """Tell a consumer, which writes it down with its own clock."""
        self._ask(asks.STANDINGS, asks.pack_standings(standings))

    def _ask(self, subject: str, words: bytes) -> bytes:
        try:
            return self._hub.ask(subject, words)
        except Unreachable as problem:
            raise Away(str(problem)) from problem
