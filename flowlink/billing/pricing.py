"""The price list: plans and add-ons as data, checked against a schema, known by its content."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flowlink.kernel import settings
from flowlink.kernel.errors import Refused
from flowlink.kernel.money import Money

PACKAGED = Path(__file__).with_name("pricing-specs.json")
FREE = "free"

Type = Literal["ram", "cpu", "traffic", "storage"]
Cents = Annotated[int, Field(ge=0, le=100_000_000, strict=True)]
Size = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]


class BadPricing(Refused):
    message = "The price list cannot be used: %(reason)s"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Part):
    """A text in each language of the product."""

    en: str = Field(min_length=1, max_length=200)
    fr: str = Field(min_length=1, max_length=200)

    def in_(self, lang: str) -> str:
        return self.fr if lang == "fr" else self.en


class Limits(_Part):
    """How much room there is, or how much more."""

    cpu_cores: Size = 0
    memory_mb: Size = 0
    traffic_gb: Size = 0
    storage_mb: Size = 0


class Plan(_Part):
    """What a team has without add-ons, for a month. `addons`: whether it may buy them."""

    name: Words
    price_minor: Cents
    limits: Limits
    addons: bool


class Addon(_Part):
    """More of one thing: price a month, size and greatest number of pieces."""

    name: Words
    description: Words
    unit: str = Field(min_length=1, max_length=40)
    gives: Limits
    price_minor: Annotated[int, Field(ge=1, le=100_000_000, strict=True)]
    maximum: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    icon: str = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _gives_something(self) -> "Addon":
        if not any(self.gives.model_dump().values()):
            raise ValueError("an add-on gives something")
        return self


class Specs(_Part):
    """A price list. Prices include VAT and are for 30 days."""

    currency: Literal["EUR"]
    plans: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")], Plan]
    addons: dict[Type, Addon]

    @model_validator(mode="after")
    def _has_free(self) -> "Specs":
        if FREE not in self.plans or self.plans[FREE].price_minor:
            raise ValueError("there is a plan `free` whose price is 0")
        if any(not plan.price_minor for name, plan in self.plans.items() if name != FREE):
            raise ValueError("every plan but `free` has a price")
        return self

    @property
    def digest(self) -> str:
        """The list's name for ever: the same content has the same one."""
        return sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()

    def money(self, cents: int) -> Money:
        return Money.from_cents(cents, self.currency)


def current() -> Specs:
    """The price list of this installation (`PRICING_SPECS`, else the packaged one).

    :raises BadPricing: it cannot be read; the message says where and why.
    """
    return _load(Path(settings.current().pricing_specs or PACKAGED))


def read(text: str) -> Specs:
    """:raises BadPricing:"""
    try:
        return Specs.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise BadPricing(reason=f"line {error.lineno}: {error.msg}") from None
    except ValidationError as error:
        raise BadPricing(reason=_told(error.errors())) from None


@cache
def _load(path: Path) -> Specs:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPricing(reason=f"{path}: {error}") from None
    return read(text)


def _told(errors: Any) -> str:
    """`plans.pro.price_minor: Input should be …`, one after the other."""
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'the list'}: {one['msg']}" for one in errors
    )
