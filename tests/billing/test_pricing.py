"""The price list: each mistake is refused with its place; quantities go by its steps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.billing import ids, pricing
from flowlink.billing.models import Resource
from tests.billing.makers import Shop, pro_team
from tests.conftest import chosen_settings

PACKAGED = json.loads(pricing.PACKAGED.read_text())


def put(specs: Any, path: str, value: object) -> Any:
    """A copy of the list with another value at `path`, or without it for `...`."""
    copy = json.loads(json.dumps(specs))
    *way, last = path.split(".")
    place = copy
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("currency", "USD", "currency: "),
        ("plans", ..., "plans: Field required"),
        ("plans.free", ..., "there is a plan `free`"),
        ("plans.pro.price_minor", 9.5, "plans.pro.price_minor: "),
        ("plans.pro.price_minor", "900", "plans.pro.price_minor: "),
        ("plans.pro.price_minor", 0, "every plan but `free` has a price"),
        ("plans.pro.prise", 1, "plans.pro.prise: "),
        ("plans.Big Plan", PACKAGED["plans"]["pro"], "plans.Big Plan"),
        ("addons.gpu", PACKAGED["addons"]["ram"], "addons.gpu"),
        ("addons.ram.price_minor", -1, "addons.ram.price_minor: "),
        ("addons.ram.name.fr", ..., "addons.ram.name.fr: Field required"),
        ("addons.ram.unit", "", "addons.ram.unit: "),
        ("addons.ram.maximum", 0, "addons.ram.maximum: "),
        ("addons.ram.step", 0, "addons.ram.step: "),
        ("addons.ram.step", 5, "addons.ram: `maximum` is a multiple of `step`"),
        ("addons.ram.gives", {}, "addons.ram: an add-on gives something"),
        ("addons.ram.gives", {"cpu_cores": 1}, "addons.ram.gives: it gives `memory_mb`"),
        ("addons.ram.gives.cpu_cores", 1, "addons.ram.gives: it gives `memory_mb`"),
        ("addons.storage.gives.storage_mb", 1000, "addons.storage.gives.storage_mb: whole GB"),
    ],
)
def test_a_mistake_is_refused_with_its_place(path: str, value: object, told: str) -> None:
    with pytest.raises(pricing.BadPricing) as refusal:
        pricing.read(json.dumps(put(PACKAGED, path, value)))

    assert told in str(refusal.value)


def test_a_price_that_stands_twice_is_refused() -> None:
    text = pricing.PACKAGED.read_text().replace(
        '"price_minor": 900,', '"price_minor": 900, "price_minor": 100,'
    )

    with pytest.raises(pricing.BadPricing, match="`price_minor` stands twice"):
        pricing.read(text)


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "prices.json"
    broken.write_text('{"currency": "EUR",\n "plans": }')

    refused = pytest.raises(pricing.BadPricing, match=r"prices\.json: line 2")
    with chosen_settings(pricing_specs=str(broken)), refused:
        pricing.current()


@pytest.fixture
def shop(client: TestClient, session: Session, tmp_path: Path) -> Iterator[Shop]:
    """A shop that sells memory by two."""
    by_two = tmp_path / "prices.json"
    by_two.write_text(json.dumps(put(PACKAGED, "addons.ram.step", 2)))
    with chosen_settings(pricing_specs=str(by_two)):
        yield Shop(client, session, pro_team(session))


def test_pieces_are_bought_by_the_step(shop: Shop) -> None:
    odd, even = shop.buy("ram", 3), shop.buy("ram", 4)

    assert odd.status_code == 422
    assert odd.json()["type"] == "urn:flowlink:problem:not-by-the-step"
    assert even.status_code == 201


def test_a_quantity_changes_by_the_step(shop: Shop) -> None:
    resource = shop.bought("ram", 2)["resource_id"]
    path = f"/teams/{shop.team.slug}/addons/{resource}/quantity"
    html = shop.headers | {"accept": "text/html"}

    asked = [
        shop.client.get(path, params={"quantity": count}, headers=html).status_code
        for count in (3, 4)
    ]
    done = [
        shop.client.post(path, data={"quantity": count}, headers=html).status_code
        for count in (1, 3)
    ]

    assert asked == [400, 200]
    assert done == [400, 400]


def test_fewer_are_right_though_the_list_allows_less(
    client: TestClient, session: Session, tmp_path: Path
) -> None:
    shop = Shop(client, session, pro_team(session))
    resource = shop.bought("ram", 8)["resource_id"]
    path = f"/teams/{shop.team.slug}/addons/{resource}/quantity"
    html = shop.headers | {"accept": "text/html"}
    fewer = tmp_path / "prices.json"
    fewer.write_text(json.dumps(put(PACKAGED, "addons.ram.maximum", 4)))

    with chosen_settings(pricing_specs=str(fewer)):
        asked = [
            client.get(path, params={"quantity": count}, headers=html).status_code
            for count in (6, 9)
        ]
        client.post(path, data={"quantity": 6}, headers=html)

    session.expire_all()
    found = session.get_one(Resource, ids.parse_resource(resource))
    assert asked == [200, 400]
    assert (found.quantity, found.next_quantity) == (8, 6)
