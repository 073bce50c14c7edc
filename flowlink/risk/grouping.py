"""What a partner's clicks may have in common, from the finest to the coarsest.

What a fine group explains is taken out before a coarser one is looked at: machines that somebody
sends at an honest partner's link are found by their own traces, and the people beside them stay.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import datetime

from flowlink.risk import signals
from flowlink.risk.signals import Finding, Group
from flowlink.risk.traffic import Seen, Traffic
from flowlink.risk.watch_models import Rule
from flowlink.tracking import origins

OWN_FEWEST = 5  # whoever tries their own link now and then does nothing wrong
_Key = Callable[[Seen, Traffic], Hashable | None]


def suspicious(
    traffic: Traffic, *, since: Mapping[Rule, datetime], limits: Mapping[Rule, int]
) -> Iterator[Finding]:
    """The groups that look wrong. `since` leaves out what a person has cleared, by rule."""
    left = list(traffic.clicks)
    for rule, key in _KEYS:
        begin = since.get(rule)
        groups = _groups([c for c in left if begin is None or c.at >= begin], traffic, key)
        fewest = OWN_FEWEST if rule is Rule.OWN else signals.FEWEST
        for clicks in groups:
            if len(clicks) < fewest:
                continue
            valid = [click for click in clicks if click.counts]
            if len(valid) < fewest:
                continue
            group = Group(rule, valid, [c for c in clicks if not c.counts], traffic)
            finding = signals.observe(group)
            if finding.score >= limits.get(rule, signals.WATCH):
                yield finding
                taken = {click.number for click in clicks}
                left = [click for click in left if click.number not in taken]


def _groups(clicks: Sequence[Seen], traffic: Traffic, key: _Key) -> Sequence[Sequence[Seen]]:
    found: dict[Hashable, list[Seen]] = defaultdict(list)
    for click in clicks:
        common = key(click, traffic)
        if common is not None:
            found[common].append(click)
    return list(found.values())


def _own(click: Seen, traffic: Traffic) -> Hashable | None:
    known = origins.is_known(click.origin)
    return True if known and origins.network(click.origin) in traffic.own else None


def _datacenter(click: Seen, traffic: Traffic) -> Hashable | None:
    return True if origins.from_datacenter(click.origin) else None


def _network(click: Seen, traffic: Traffic) -> Hashable | None:
    return origins.network(click.origin) if origins.is_known(click.origin) else None


def _agent(click: Seen, traffic: Traffic) -> Hashable | None:
    return click.agent, click.referrer


def _referrer(click: Seen, traffic: Traffic) -> Hashable | None:
    return click.referrer


def _link(click: Seen, traffic: Traffic) -> Hashable | None:
    return click.link


_KEYS: tuple[tuple[Rule, _Key], ...] = (
    (Rule.OWN, _own),
    (Rule.DATACENTER, _datacenter),
    (Rule.NETWORK, _network),
    (Rule.AGENT, _agent),
    (Rule.REFERRER, _referrer),
    (Rule.LINK, _link),
)
