"""Every benchmark, one after the other: `make bench`."""

from bench import ledger, links_in_memory, pages, redirect, startup

for benchmark in (startup, redirect, links_in_memory, ledger, pages):
    print(f"\n## {benchmark.__name__.removeprefix('bench.')}", flush=True)
    benchmark.main()
