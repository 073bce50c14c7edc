"""The click journals of this machine: how they stand, and what a person decides about one."""

from argparse import Namespace

from flowlink.app import opening
from flowlink.app.outcome import Failed, note, say
from flowlink.kernel import db
from flowlink.tracking import journal_repair, segment, shipping, wiring
from flowlink.tracking.segment import Taken


def list_journals(arguments: Namespace) -> int:
    """Print every journal: what waits, since when, and why it stands still, if so (exit code 1)."""
    with opening.database(arguments):
        found = shipping.survey(wiring.journals())
    for one in found:
        since = f" since {one.oldest_at:%Y-%m-%dT%H:%M:%SZ}" if one.oldest_at else ""
        waits = f"{one.backlog.records} clicks wait ({one.backlog.size_bytes} bytes){since}"
        say(f"{one.directory} edge {one.edge}: {one.error or waits}")
        for stranger in segment.strangers(one.directory, edge=one.edge):
            note(f"  {stranger} is no part of this journal and is left alone")
    note(f"{len(found)} journals in {wiring.journals()}")
    return 1 if any(one.error for one in found) else 0


def accept_journal(arguments: Namespace) -> None:
    """Store the clicks of a replaced journal that are not stored yet, then go on from its end."""
    if not (arguments.directory / "edge").exists():
        raise Failed(f"{arguments.directory} is no journal (see flowlink journal list)")
    with opening.database(arguments), db.write() as session:
        try:
            done = journal_repair.accept(session, directory=arguments.directory.absolute())
        except Taken:
            raise Failed("its shipper holds it: stop the edge (or flowlink up) first") from None
    note(f"{done.stored} clicks stored, {done.known} were there, {done.unreadable} are unreadable")
