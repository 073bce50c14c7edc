"""Every benchmark, one after the other: `make bench`."""

from bench import ledger, nats, pages, redirect, startup

for benchmark in (startup, redirect, nats, ledger, pages):
    print(f"\n## {benchmark.__name__.removeprefix('bench.')}", flush=True)
    benchmark.main()
