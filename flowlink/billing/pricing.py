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


# What each type of add-on gives, and nothing else: its totals are told under its name.
_GIVES: dict[Type, str] = {
    "ram": "memory_mb",
    "cpu": "cpu_cores",
    "traffic": "traffic_gb",
    "storage": "storage_mb",
}
MB_PER_GB = 1024


class Addon(_Part):
    """More of one thing: price a month, size and greatest number of pieces.

    `step`: pieces are bought so many at a time, such as 2, 4, 6 …
    """

    name: Words
    description: Words
    unit: str = Field(min_length=1, max_length=40)
    gives: Limits
    price_minor: Annotated[int, Field(ge=1, le=100_000_000, strict=True)]
    maximum: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    step: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 1
    icon: str = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _gives_something(self) -> "Addon":
        if not any(self.gives.model_dump().values()):
            raise ValueError("an add-on gives something")
        if self.maximum % self.step:
            raise ValueError("`maximum` is a multiple of `step`")
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

    @model_validator(mode="after")
    def _gives_its_own(self) -> "Specs":
        for kind, addon in self.addons.items():
            given = {name for name, size in addon.gives.model_dump().items() if size}
            if given != {_GIVES[kind]}:
                raise ValueError(f"addons.{kind}.gives: it gives `{_GIVES[kind]}` and nothing else")
            if addon.gives.storage_mb % MB_PER_GB:
                raise ValueError(f"addons.{kind}.gives.storage_mb: whole GB, each {MB_PER_GB} MB")
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
    """:raises BadPricing: the message says where and why."""
    try:
        return Specs.model_validate(json.loads(text, object_pairs_hook=_once))
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
    try:
        return read(text)
    except BadPricing as error:
        raise BadPricing(reason=f"{path}: {error.params['reason']}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose every name stands once: of two prices, nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise BadPricing(reason=f"{', '.join(f'`{name}`' for name in twice)} stands twice")
    return found


def _told(errors: Any) -> str:
    """`plans.pro.price_minor: Input should be …`, one after the other."""
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, one["loc"])), _sentence(one["msg"]))))
        for one in errors
    )


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")
