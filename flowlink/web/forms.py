"""Fields of forms: what a person typed, as what it means."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from flowlink.kernel import clock
from flowlink.kernel.money import BadAmount, Money


def _money(value: Any) -> Money:
    if isinstance(value, Money):
        return value
    if not isinstance(value, str):
        raise BadAmount
    return Money.parse(value)


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else clock.in_utc(moment)


def _checked(value: Any) -> bool:
    return str(value).lower() in {"on", "true", "1", "yes"}


# An amount of euros as typed: `12.34` or `12,34`. Our own errors pass through pydantic untouched.
MoneyField = Annotated[
    Money, PlainValidator(_money), WithJsonSchema({"type": "string", "examples": ["12.34"]})
]
# A moment that a program says, with its zone; kept in UTC.
MomentField = Annotated[AwareDatetime, AfterValidator(clock.in_utc)]
# A moment in UTC as a browser's field sends it; an empty field says nothing.
TypedMoment = Annotated[
    datetime | None, BeforeValidator(lambda typed: typed or None), AfterValidator(_in_utc)
]
# A browser leaves an unticked box out: give the field the default False.
CheckboxField = Annotated[bool, BeforeValidator(_checked)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)]
