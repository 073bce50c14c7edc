"""Every benchmark, one after the other: `make bench`."""

from bench import ledger, pages, redirect, risk, startup

for benchmark in (startup, redirect, ledger, pages, risk):
    print(f"\n## {benchmark.__name__.removeprefix('bench.')}", flush=True)
    benchmark.main()
