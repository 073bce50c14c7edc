"""Who may come in: users with the permissions that docs/scale-out.md gives them, over TLS too."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flowlink.kernel import clock
from flowlink.kernel.nats import Hub, Unreachable
from flowlink.tracking import nats_wire as wire
from flowlink.tracking.nats_books import NatsBooks
from flowlink.tracking.nats_keeper import NatsKeeper
from flowlink.tracking.nats_links import LINKS, published_at
from flowlink.tracking.nats_source import NatsSource
from flowlink.tracking.nats_store import NatsStore
from flowlink.tracking.shipper import Shipper
from tests import nats_nodes
from tests.architecture.tree import ROOT
from tests.conftest import test_settings
from tests.nats_nodes import Nodes
from tests.tracking.makers import ask, committed_shop
from tests.tracking.nats_fleet import Clicker
from tests.tracking.nats_process import SHIPPING, WINDOW
from tests.tracking.test_nats_clicks import consuming, shipped
from tests.tracking.test_nats_edge import until
from tests.tracking.test_nats_keeper import telling
from tests.tracking.test_nats_links import FAST, Edge, Shop, publishing


def accounts() -> str:
    """The part of the documented configuration that says who may do what."""
    text = (ROOT / "docs" / "scale-out.md").read_text()
    found = re.search(r"^   accounts \{$.*?^   \}$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[0].replace("…", "secret")


@pytest.fixture
def nodes(place: Path) -> Iterator[Nodes]:
    with nats_nodes.running(place, count=1, more=accounts()) as made:
        yield made


def entering(nodes: Nodes, who: str, *, echo: bool = True) -> Hub:
    urls = [url.replace("nats://", f"nats://{who}@") for url in nodes.urls]
    return Hub(test_settings(nats_url=",".join(urls)), name="test", echo=echo)


def test_an_edge_needs_no_more_than_is_written_down(
    nodes: Nodes, database: str, tmp_path: Path
) -> None:
    inside, outside = entering(nodes, "consumer:secret"), entering(nodes, "edge:secret")
    shop, follower, clicker = Shop({b"/a": b"1"}), Edge(outside), Clicker(tmp_path, 1)
    clicker.make(100)
    store = NatsStore(outside, window=WINDOW)

    with consuming(inside), publishing(inside, shop):
        shipped(Shipper(clicker.writer.directory, store=store, pace=SHIPPING), clicker)
        follower.load()
        shop.change(b"/b", b"2")
        follower.follow(shop)
        lost = outside.last(wire.CLICKS.name, wire.clicks_subject(clicker.writer.edge))
        idle = outside.is_idle(wire.CLICKS.name, wire.lane_name(0))

    assert ask("SELECT count(*) FROM tracking_click") == [(100,)]
    assert follower.table == shop.entries
    assert (lost, idle) == (None, True)
    for connection in (inside, outside):
        connection.close()
    clicker.writer.close()


def test_what_an_edge_asks_is_within_what_is_written_down(nodes: Nodes, database: str) -> None:
    shop = committed_shop()
    inside, *outside = [
        entering(nodes, who, echo=False)
        for who in ("consumer:secret", "edge:secret", "edge:secret")
    ]
    first, second = map(NatsSource, outside)

    async def learn() -> tuple[int, int]:
        keeper = NatsKeeper(second, pace=FAST)
        await keeper.load()
        keeper.table.drop("", shop.link.code)
        found = await keeper.find("", shop.link.code), await keeper.find("", "nobody")
        await keeper.close()
        return len(keeper.table), found.count(None)

    with telling(inside):
        until(lambda: outside[1].standing(LINKS.name) and published_at(outside[1]))
        learned = asyncio.run(learn())
        NatsBooks(outside[0]).tell([], now=clock.now())
        held = [first._claim("flowlink.node.600"), second._claim("flowlink.node.600")]

    assert learned == (1, 1)
    assert held == [True, False]
    for connection in (inside, *outside):
        connection.close()


def test_whoever_has_the_wrong_password_is_told(nodes: Nodes) -> None:
    stranger = entering(nodes, "edge:wrong")

    with pytest.raises(Unreachable, match="no NATS server lets us in"):
        stranger.ask("flowlink.position.x")

    stranger.close()


def test_servers_are_checked_by_the_chosen_certificate(place: Path) -> None:
    certificate = made_certificate(place)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{place / "key.pem"}" }}'
    with nats_nodes.running(place / "nodes", count=1, more=tls) as nodes:
        url = nodes.urls[0].replace("nats://", "tls://")
        trusting = Hub(test_settings(nats_url=url, nats_ca=certificate), name="test")
        careful = Hub(test_settings(nats_url=url), name="test")

        assert trusting.message_bytes_max > 0
        with pytest.raises(Unreachable):
            careful.ask("flowlink.position.x")

        trusting.close()
        careful.close()


def made_certificate(place: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats")])
    now = clock.now()
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (place / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (place / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return place / "ca.pem"
