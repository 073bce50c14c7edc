"""How much a link takes in the edge's table, at a million of them, and how fast it is found.

Run: python -m bench.links_in_memory
"""

import gc
import time
from pathlib import Path
from uuid import UUID

from bench.report import table as printed
from flowlink.kernel import settings
from flowlink.kernel.settings import Settings
from flowlink.tracking.link_table import LinkRow, LinkTable

LINKS = 1_000_000
PARTNERS, OFFERS = 5_000, 50
LOOKUPS = 200_000
SECRET = "a-secret-key-for-benchmarks-only"  # noqa: S105


def resident() -> int:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def row(number: int) -> LinkRow:
    """A link with a page of its own, as most have; its partner and offer are others' too."""
    partner, offer = number % PARTNERS, number % OFFERS
    return LinkRow(
        number=number,
        host="",
        code=f"{number:08x}",
        destination=f"https://shop{number % 97}.example.com/products/{number}?utm_source=flow",
        disabled=False,
        expires_ms=0,
        routing=None,
        partner=partner,
        partner_id=UUID(int=partner),
        partner_active=True,
        offer_id=UUID(int=offer),
        offer_destination="https://shop.example.com/",
        click_param="subid",
    )


def main() -> None:
    settings.use(Settings(_env_file=None, secret_keys=(SECRET,)))  # type: ignore[call-arg]
    gc.collect()
    before, began = resident(), time.perf_counter()
    links = LinkTable()
    for number in range(LINKS):
        links.put(row(number))
    loaded_s, held = time.perf_counter() - began, resident() - before
    cold = timed(links, [f"{number * 7919 % LINKS:08x}" for number in range(LOOKUPS)])
    hot = timed(links, [f"{number % 10_000:08x}" for number in range(LOOKUPS)])
    header = ("links", "bytes a link, resident", "as counted", "made us", "found us, any", "hot")
    counted = links.size_bytes() / LINKS
    figures = (f"{held / LINKS:.0f}", f"{counted:.0f}", f"{loaded_s / LINKS * 1e6:.1f}")
    printed("links in memory", header, [(f"{LINKS:,}", *figures, f"{cold:.1f}", f"{hot:.2f}")])


def timed(links: LinkTable, codes: list[str]) -> float:
    """Microseconds a look-up."""
    began = time.perf_counter()
    for code in codes:
        assert links.find("", code) is not None
    return (time.perf_counter() - began) / len(codes) * 1e6


if __name__ == "__main__":
    main()
