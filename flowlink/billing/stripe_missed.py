"""What Stripe told and we never heard: read from its own list of events, kept like a webhook.

Pending payments are asked about one by one (`charges.reconcile`). This finds the rest: a dispute
or a refund of what was paid long ago, whose webhook was lost.
"""

import json
from datetime import datetime, timedelta

from flowlink.billing import inbox, stripe_api as api, stripe_events, stripe_rows as rows

KEPT = timedelta(days=29)  # Stripe lists events for 30 days
OVERLAP = timedelta(hours=1)


def catch_up(*, now: datetime) -> tuple[int, int]:
    """Keep what Stripe lists and we have not heard: listed, and new of them.

    :raises providers.Away: the next run begins where this one did.
    """
    since = rows.listed_until()
    since = now - KEPT if since is None else max(since - OVERLAP, now - KEPT)
    listed = new = 0
    for event in api.configured().events(since=since, until=now):
        body = json.dumps(event, separators=(",", ":"), default=str).encode()
        listed += 1
        new += inbox.keep(stripe_events.NAME, stripe_events.told(event), body, now=now)
    rows.keep_listed(now)
    return listed, new
