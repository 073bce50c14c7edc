"""Keys of notify, and the form they wear outside."""

from typing import NewType
from uuid import UUID

MailId = NewType("MailId", UUID)

MAIL = "mail"
ENDPOINT = "hook"
DELIVERY = "dlv"

EndpointId = NewType("EndpointId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
