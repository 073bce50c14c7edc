"""The HTTP API of flowlink, typed: one method an operation, one type a shape."""

from flowlink_client.client import Flowlink, Refused

__all__ = ["Flowlink", "Refused"]
