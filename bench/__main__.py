"""Every benchmark, one after the other: `make bench`."""

from bench import ledger, links_in_memory, pages, postbacks, reads, redirect, risk, startup

for benchmark in (startup, redirect, links_in_memory, postbacks, ledger, reads, pages, risk):
    print(f"\n## {benchmark.__name__.removeprefix('bench.')}", flush=True)
    benchmark.main()
