"""Every benchmark, one after the other: `make bench`."""

from bench import ledger, pages, postbacks, reads, redirect, startup

for benchmark in (startup, redirect, postbacks, ledger, reads, pages):
    print(f"\n## {benchmark.__name__.removeprefix('bench.')}", flush=True)
    benchmark.main()
