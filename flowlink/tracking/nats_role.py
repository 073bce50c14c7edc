"""What a consumer does: stores what edges send, publishes the link table, answers edges."""

import threading

from flowlink.kernel.nats import Hub
from flowlink.tracking import nats_consumer, nats_links
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.nats_consumer import Consumer
from flowlink.tracking.nats_desk import Desk
from flowlink.tracking.nats_feed import LinkFeed, Loop
from flowlink.tracking.nats_links import LinkPublisher


def run(
    hub: Hub,
    stop: threading.Event,
    *,
    storing: nats_consumer.Pace | None = None,
    publishing: nats_links.Pace | None = None,
) -> None:
    """Do all of it until `stop`, next to other consumers.

    PostgreSQL has to be connected.
    """
    loop = Loop()
    feed, desk = LinkFeed(loop), Desk(hub, loop)
    publisher = LinkPublisher(hub, feed, pace=publishing)
    threads = [
        threading.Thread(target=publisher.run, args=(stop,), name="links"),
        threading.Thread(target=desk.serve, args=(stop,), name="asks"),
    ]
    for thread in threads:
        thread.start()
    Consumer(hub, new_store=ClickStore, pace=storing).run(stop)
    for thread in threads:
        thread.join()
    desk.close()
    feed.close()
    loop.close()
