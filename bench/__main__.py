"""Every benchmark, one after the other: `make bench`."""

from bench import (
    ledger,
    limits,
    links_in_memory,
    nats,
    pages,
    postbacks,
    reads,
    redirect,
    risk,
    startup,
    waiting,
)

for benchmark in (
    startup,
    redirect,
    nats,
    links_in_memory,
    postbacks,
    ledger,
    limits,
    reads,
    pages,
    waiting,
    risk,
):
    print(f"\n## {benchmark.__name__.removeprefix('bench.')}", flush=True)
    benchmark.main()
