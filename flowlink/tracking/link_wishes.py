"""What programs say of a link's destinations, as JSON."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flowlink.tracking import routing_words
from flowlink.tracking.routing import Routing, Weighted

Text = Annotated[str, Field(max_length=2000)]


class TargetBody(BaseModel):
    """Where visitors go who have this device, are in this country, or both.

    Devices: desktop, phone, tablet, television.
    """

    model_config = ConfigDict(extra="forbid")

    destination: Text
    device: str | None = Field(default=None, max_length=20, examples=["phone"])
    country: str | None = Field(default=None, min_length=2, max_length=2, examples=["FR"])


class WeightedBody(BaseModel):
    """A destination that gets its part of the visitors."""

    model_config = ConfigDict(extra="forbid")

    destination: Text
    weight: int = Field(ge=1, le=1000)


def routing_of(targets: Sequence[TargetBody], weighted: Sequence[WeightedBody]) -> Routing:
    """:raises routing.BadTarget: no such device."""
    return Routing(
        targets=[
            routing_words.target(
                [word for word in (one.device, one.country) if word], one.destination
            )
            for one in targets
        ],
        weighted=[Weighted(one.destination, one.weight) for one in weighted],
    )
