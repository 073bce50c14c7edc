"""The ids of tracking and their public prefixes."""

from typing import NewType
from uuid import UUID

NETWORK = "net"
OFFER = "off"
LINK = "lnk"
POSTBACK = "pb"
CONVERSION = "cnv"
REPORT = "rep"

NetworkId = NewType("NetworkId", UUID)
OfferId = NewType("OfferId", UUID)
LinkId = NewType("LinkId", UUID)
PostbackId = NewType("PostbackId", UUID)
ConversionId = NewType("ConversionId", UUID)
