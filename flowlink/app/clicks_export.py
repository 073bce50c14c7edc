"""All clicks of a span of days as one file, CSV or Parquet, streamed."""

import csv
from collections.abc import Iterator
from datetime import datetime
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


def write(out: Path, *, since: datetime, until: datetime | None) -> int:
    """Write the clicks from `since` to before `until` (or all later ones); returns how many.

    The ending of its name says which kind of file. It appears whole or not at all.
    """
    if out.suffix == ".parquet":
        return _write_parquet(out, since=since, until=until)
    scratch = out.with_name(f".{out.name}.part")
    count = 0
    try:
        with db.read() as session, scratch.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for row in _rows(session, since=since, until=until):
                writer.writerow(row)
                count += 1
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _write_parquet(out: Path, *, since: datetime, until: datetime | None) -> int:
    from flowlink.app import parquet  # heavy, and wanted by few commands

    between = out.with_name(f".{out.name}.csv")
    try:
        count = write(between, since=since, until=until)
        parquet.from_csv(between, out, header=HEADER)
    finally:
        between.unlink(missing_ok=True)
    return count


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
