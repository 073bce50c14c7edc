"""All clicks of a span of days as one file, CSV or Parquet, streamed."""

import csv
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.tracking import clickid, countries
from flowlink.tracking.devices import Device
from flowlink.tracking.models import Agent, Click, Link, Reason, Referrer

HEADER = ("click_id", "at", "link", "partner", "valid", "reason", "country", "device", "referrer")
_BATCH = 5000

Row = tuple[str, ...]
Add = Callable[[Sequence[Row]], object]


def write(out: Path, *, since: datetime, until: datetime | None) -> int:
    """Write the clicks from `since` to before `until` (or all later ones); returns how many.

    The ending of `out`, `.csv` or `.parquet`, says the form. The file appears whole or not at all.

    :raises OSError: it cannot be written there.
    """
    scratch = out.with_name(f".{out.name}.part")
    count = 0
    try:
        with db.read() as session, _WRITERS[out.suffix](scratch) as add:
            rows = _rows(session, since=since, until=until)
            while batch := list(islice(rows, _BATCH)):
                add(batch)
                count += len(batch)
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return count


@contextmanager
def _csv(path: Path) -> Generator[Add]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        yield writer.writerows


@contextmanager
def _parquet(path: Path) -> Generator[Add]:
    """Times and truths as such, all else as text; an absent word is null."""
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    kinds = {"at": pyarrow.timestamp("ms", tz="UTC"), "valid": pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in HEADER])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:

        def add(rows: Sequence[Row]) -> None:
            columns = dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True))
            moments = [datetime.fromisoformat(at) for at in columns["at"]]
            truths = [valid == "true" for valid in columns["valid"]]
            words = {name: [word or None for word in column] for name, column in columns.items()}
            typed = words | {"at": moments, "valid": truths}
            writer.write_table(pyarrow.table(typed, schema=schema))

        yield add


_WRITERS: Mapping[str, Callable[[Path], AbstractContextManager[Add]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
}
FORMS = tuple(_WRITERS)


def _rows(
    session: Session, *, since: datetime, until: datetime | None
) -> Iterator[tuple[str, ...]]:
    codes = dict(session.execute(select(Link.number, Link.code)).all())
    people = select(Partner.number, Partner.id)
    partners = {
        number: partner_ids.public(PartnerId(key)) for number, key in session.execute(people)
    }
    wanted = (
        select(
            Click.id,
            Click.link,
            Click.partner,
            Click.reason,
            Click.country,
            Agent.device,
            Referrer.host,
        )
        .outerjoin(Agent, Agent.id == Click.agent)
        .outerjoin(Referrer, Referrer.id == Click.referrer)
        .where(Click.id >= clickid.floor(since))
        .order_by(Click.id)
    )
    if until is not None:
        wanted = wanted.where(Click.id < clickid.floor(until))
    for number, link, partner, reason, country, device, referrer in session.execute(
        wanted, execution_options={"yield_per": _BATCH}
    ):
        ref = clickid.ClickRef(number=number, link=link, partner=partner)
        yield (
            clickid.token(ref),
            clickid.at(number).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            codes.get(link, ""),
            partners.get(partner, ""),
            "false" if reason else "true",
            Reason(reason).name.lower() if reason else "",
            countries.code(country),
            Device(device or 0).name.lower(),
            referrer or "",
        )
