"""Postbacks tried from the shell, and clicks as a file."""

from argparse import Namespace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from flowlink.app import access, clicks_export, opening
from flowlink.app.outcome import Failed, note, say
from flowlink.identity import queries as identity
from flowlink.kernel import clock, db, ids
from flowlink.partners import ids as partner_ids, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.tracking import (
    bulk,
    clickid,
    importers,
    network_changes,
    networks,
    postbacks,
    presets,
    recount,
    shipping,
    table_text,
    wiring,
)
from flowlink.tracking.ids import CONVERSION, LINK
from flowlink.tracking.importers import Format
from flowlink.tracking.models import Network, Result
from flowlink.tracking.postbacks import Preview

_FLUSH_S = 30.0


def try_postback(arguments: Namespace) -> int:
    """Print what a postback with these fields would do; exit code 1 when it would be refused.

    Fields have the network's own names, or ours (subid, amount, currency, status, txn_id, goal).
    """
    with opening.database(arguments), db.read() as session:
        network = networks.named(session, arguments.network)
        request = _request(network, dict(arguments.fields))
        preview = postbacks.preview(session, request=request, now=clock.now())
        for name, value in _told(preview):
            if value:
                say(f"{name}: {value}")
    return 0 if preview.result in {Result.OK, Result.DUPLICATE} else 1


def list_presets(arguments: Namespace) -> None:
    """Print the networks whose way of speaking is public, with their sources."""
    for preset in presets.every():
        say(f"{preset.name:<12} {preset.title}, {preset.source_url}")


def add_network(arguments: Namespace) -> None:
    """Add a network from a preset and print the postback URL to give to it."""
    with opening.database(arguments), db.write() as session:
        network = network_changes.from_preset(
            session,
            preset=arguments.preset,
            name=arguments.name or "",
            actor=access.ACTOR,
            now=clock.now(),
        )
        url = networks.url_of(network)
    say(url)


def export_clicks(arguments: Namespace) -> None:
    """Write one row a click; whole days in UTC, both ends included.

    What the journals of this machine hold is brought in first.
    """
    if arguments.out.suffix not in clicks_export.FORMS:
        raise Failed(f"name a file that ends in {' or '.join(clicks_export.FORMS)}")
    since = _day(arguments.since) if arguments.since else clickid.EPOCH
    until = _day(arguments.until) + timedelta(days=1) if arguments.until else None
    with opening.database(arguments):
        waiting = shipping.flush(
            wiring.journals(), new_store=wiring.new_store(), patience_s=_FLUSH_S
        )
        if waiting:
            note(f"{waiting} clicks still wait in a journal (see flowlink journal list)")
        try:
            count = clicks_export.write(arguments.out, since=since, until=until)
        except OSError as error:
            raise Failed(f"{arguments.out} cannot be written: {error.strerror}") from None
    note(f"{count} clicks written to {arguments.out}")


def rebuild_clicks(arguments: Namespace) -> int:
    """Prove the counts of every day against its clicks; put right what differs unless `--check`.

    Exit code 1 when something differed and was only looked at.
    """
    since = _day(arguments.since).date() if arguments.since else None
    until = _day(arguments.until).date() if arguments.until else None
    found: list[recount.Difference] = []
    with opening.database(arguments):
        now = clock.now()
        with db.read() as session:
            days = recount.days(session, since=since, until=until or now.date())
        for day in days:
            found += _recounted(day, check=arguments.check, now=now)
    for one in found:
        say(
            f"{one.day} {one.table}: {one.rows} rows {'differ' if arguments.check else 'put right'}"
        )
    note(f"{len(days)} days counted, {len(found)} differences")
    return 1 if arguments.check and found else 0


def import_links(arguments: Namespace) -> int:
    """Make the links of another shortener's CSV file; exit code 1 when rows were left out."""
    text = table_text.decoded(opening.file(arguments.file))
    if text is None:
        raise Failed(f"{arguments.file} is not text")
    handle = bulk.preview if arguments.dry_run else bulk.create
    with opening.database(arguments), db.write() as session:
        partner = _partner(session, arguments.partner)
        rows = importers.read(text, form=Format(arguments.format), domain=arguments.domain)
        outcomes = handle(session, partner_id=partner, rows=rows, now=clock.now())
    for one in outcomes:
        if one.error is not None:
            note(f"line {one.row.line}: {one.error}")
        elif one.address:
            say(one.address)
    bad = sum(one.error is not None for one in outcomes)
    verb = "can be made" if arguments.dry_run else "made"
    note(f"{len(outcomes) - bad} links {verb}, {bad} rows left out")
    return 1 if bad else 0


def _told(preview: Preview) -> list[tuple[str, str | None]]:
    """What is said of a tried postback, the result first; what is empty is left out."""
    told: list[tuple[str, str | None]] = [
        ("result", preview.result.value),
        ("reason", preview.reason),
    ]
    claim, owner, conversion = preview.claim, preview.attribution, preview.conversion
    if claim is not None:
        told += [
            ("status", claim.status.value),
            ("amount", None if claim.amount is None else str(claim.amount)),
            ("transaction", claim.txn_id),
            ("goal", claim.goal),
            ("changed at", claim.changed_at.isoformat() if claim.changed_at else None),
        ]
    if owner is not None:
        told += [
            ("link", ids.public(LINK, owner.link_id)),
            ("partner", partner_ids.public(PartnerId(owner.partner_id))),
        ]
    if conversion is not None:
        told.append(("conversion", ids.public(CONVERSION, conversion.id)))
    return told


def _recounted(day: date, *, check: bool, now: datetime) -> list[recount.Difference]:
    if check:
        with db.read() as session:
            return recount.differences(session, day=day, now=now)
    with db.write() as session:
        return recount.rebuild(session, day=day, now=now)


def _partner(session: Session, email: str) -> PartnerId:
    user_id = identity.find_by_email(session, email.strip().lower())
    partner = partners.of_user(session, user_id) if user_id else None
    if partner is None:
        raise Failed(f"no partner has the address {email}")
    return PartnerId(partner.id)


def _request(network: Network, fields: dict[str, str]) -> postbacks.PostbackIn:
    named = {network.fields.get(name, name): value for name, value in fields.items()}
    query = networks.signed_query(network, urlencode(named))
    address = networks.some_address(network)
    return postbacks.PostbackIn(method="GET", query=query, address=address)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Failed(f"{text!r} is not a day such as 2026-11-21") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
