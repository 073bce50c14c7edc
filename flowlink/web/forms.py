"""Fields of forms: what a person typed, as what it means."""

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, StringConstraints, WithJsonSchema

from flowlink.kernel.money import BadAmount, Money


def _money(value: Any) -> Money:
    if isinstance(value, Money):
        return value
    if not isinstance(value, str):
        raise BadAmount
    return Money.parse(value)


def _checked(value: Any) -> bool:
    return str(value).lower() in {"on", "true", "1", "yes"}


# An amount of euros as typed: `12.34` or `12,34`. Our own errors pass through pydantic untouched.
MoneyField = Annotated[
    Money, PlainValidator(_money), WithJsonSchema({"type": "string", "examples": ["12.34"]})
]
# A browser leaves an unticked box out: give the field the default False.
CheckboxField = Annotated[bool, BeforeValidator(_checked)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)]
