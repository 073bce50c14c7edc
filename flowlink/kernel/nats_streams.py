"""Streams of JetStream: how they are made, how they stand, and what lies in them."""

from dataclasses import dataclass

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of JetStream, on disk on as many nodes as configured."""

    name: str
    subjects: str
    bytes_max: int
    once: bool = False  # whether what one consumer has acknowledged is gone

    def config(self, *, replicas: int) -> StreamConfig:
        """How it is made."""
        return StreamConfig(
            name=self.name,
            subjects=[self.subjects],
            retention=RetentionPolicy.WORK_QUEUE if self.once else RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            num_replicas=replicas,
            max_bytes=self.bytes_max,
            discard=DiscardPolicy.NEW,
            allow_direct=True,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream stands: what lies in it, and on how many of its nodes it is up to date."""

    messages: int
    size_bytes: int
    replicas: int
    current: int

    @classmethod
    def of(cls, found: StreamInfo) -> "Standing":
        """What the servers say."""
        others = (found.cluster.replicas if found.cluster else None) or []
        current = 1 + sum(bool(one.current) and not one.offline for one in others)
        wanted = found.config.num_replicas or 1
        return cls(found.state.messages, found.state.bytes, wanted, current)


@dataclass(frozen=True, slots=True)
class Message:
    """What a stream holds. `reply` is where its acknowledgement goes."""

    subject: str
    data: bytes
    reply: str = ""
    sequence: int = 0
