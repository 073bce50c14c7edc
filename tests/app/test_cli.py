"""The command line: what each command prints, where, and with which exit code."""

import csv
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx2
import psycopg
import pytest
import structlog

from flowlink.kernel import db, settings
from flowlink.kernel.postgres import running_url
from tests.app.product import FLOWLINK, Product, command, inline, running
from tests.cluster import memory_dir

LIGHT = """
import sys
from flowlink.app.cli.parser import run
try:
    run(["--help"])
except SystemExit:
    pass
heavy = {"sqlalchemy", "pydantic", "fastapi", "psycopg", "asyncio", "structlog"} & set(sys.modules)
assert not heavy, heavy
"""


class Shell(Protocol):
    def __call__(self, *arguments: str, data: Path) -> "subprocess.CompletedProcess[str]": ...


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with memory_dir() as place, running(place / "data") as started:
        yield started


@pytest.fixture(scope="module")
def resting() -> Iterator[Path]:
    """Data on which nothing runs; a command has made it."""
    with memory_dir() as place:
        assert command("migrate", data=place / "data").returncode == 0
        yield place / "data"


@pytest.fixture
def shell(shared: str) -> Iterator[Shell]:
    """Runs a command in this process."""
    chosen, root = settings.current(), logging.getLogger()
    handlers, level, structured = root.handlers[:], root.level, structlog.get_config()
    yield inline
    settings.use(chosen)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**structured)
    db.connect(shared)


def test_help_imports_nothing_of_the_product() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--help"], ["admin", "--help"], ["up", "--help"]])
def test_help_is_given(words: list[str]) -> None:
    done = subprocess.run([*FLOWLINK, *words], capture_output=True, text=True, check=False)

    assert (done.returncode, "usage: flowlink" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["up", "--port", "x"], ["jobs"], ["admin", "api-key"]]
)
def test_misuse_ends_with_2_and_prints_no_value(words: list[str]) -> None:
    done = subprocess.run([*FLOWLINK, *words], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, bool(done.stderr)) == (2, "", True)


def test_the_version_is_printed() -> None:
    done = subprocess.run([*FLOWLINK, "--version"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "flowlink 0.1.0\n")


@pytest.mark.parametrize("hat", ["--partner", "--operator", "--agent"])
def test_a_sign_in_link_leads_to_what_runs(product: Product, hat: str) -> None:
    done = command("admin", "sign-in-link", "ada@example.org", hat, data=product.data)

    (link,) = done.stdout.splitlines()
    assert (done.returncode, link.startswith(product.url)) == (0, True)
    assert httpx2.get(link).status_code == 200


def test_a_sign_in_link_signs_in_once(shell: Shell, product: Product) -> None:
    link = shell(
        "admin", "sign-in-link", "bob@example.org", "--partner", data=product.data
    ).stdout.strip()

    with httpx2.Client() as browser:
        first = browser.post(link)
        portal = browser.get(f"{product.url}/partner/portal")
    second = httpx2.post(link)

    assert (first.status_code, portal.status_code, second.status_code) == (303, 200, 400)


def test_keys_open_what_is_their_owners(shell: Shell, product: Product) -> None:
    operator = shell("admin", "api-key", "--operator", data=product.data).stdout.strip()
    partner = shell(
        "admin", "api-key", "--partner", "eve@example.org", data=product.data
    ).stdout.strip()

    seen = [
        product.get(path, authorization=f"Bearer {key}").status_code
        for key in (operator, partner)
        for path in ("/api/admin/summary", "/api/partner/balance")
    ]

    assert (seen[0], seen[1] >= 400, seen[2] >= 400, seen[3]) == (200, True, True, 200)


def test_a_key_with_an_unknown_scope_is_refused(shell: Shell, product: Product) -> None:
    done = shell("admin", "api-key", "--operator", "--scopes", "all:all", data=product.data)

    assert (done.returncode, done.stdout) == (1, "")


def test_a_team_that_is_not_there_gets_no_key(shell: Shell, product: Product) -> None:
    done = shell("admin", "api-key", "--team", "acme", data=product.data)

    assert (done.returncode, done.stdout, "no such team" in done.stderr.lower()) == (1, "", True)


def test_the_postback_url_of_a_network_is_the_one_to_give_it(
    shell: Shell, product: Product
) -> None:
    done = shell("admin", "postback-url", "direct", data=product.data)

    assert done.stdout.startswith(f"{product.url}/aff/postback?")
    assert ("key=" in done.stdout, "{subid}" in done.stdout) == (True, True)


def test_an_unknown_network_is_refused(shell: Shell, product: Product) -> None:
    done = shell("admin", "postback-url", "nobody", data=product.data)

    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, "", False)


def test_a_tried_postback_moves_nothing(shell: Shell, product: Product) -> None:
    fields = ["subid=unknown", "amount=10.00", "currency=EUR", "status=approved", "txn_id=1"]
    tried = [shell("postback", "test", "direct", *fields, data=product.data) for _ in range(2)]

    assert [done.returncode for done in tried] == [1, 1]
    assert [done.stdout.splitlines()[0] for done in tried] == ["result: orphan"] * 2


def test_a_tried_postback_says_whose_it_would_be(shell: Shell, product: Product) -> None:
    key = shell("admin", "api-key", "--partner", "cli@example.org", data=product.data)
    headers = {"authorization": f"Bearer {key.stdout.strip()}"}
    link = httpx2.post(f"{product.url}/api/partner/links", headers=headers, json={}).json()
    subid = httpx2.get(link["url"]).headers["location"].rpartition("=")[2]

    done = shell(
        "postback", "test", "direct", f"subid={subid}", "amount=0", "txn_id=7", data=product.data
    )

    said = dict(line.split(": ") for line in done.stdout.splitlines())
    assert said.pop("partner").startswith("par_")
    assert said == {
        "result": "ok",
        "status": "approved",
        "amount": "0.00 EUR",
        "transaction": "7",
        "link": link["id"],
    }


def test_jobs_are_listed_and_run_for_any_time(shell: Shell, product: Product) -> None:
    ran = shell("jobs", "run", "reserve_release", "--at", "2026-11-21T03:00:00Z", data=product.data)
    listed = shell("jobs", "list", data=product.data)

    assert ran.returncode == 0
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("reserve_release\t")]
    assert "\tok " in line


@pytest.mark.parametrize(
    "words",
    [
        ["nothing_such"],
        ["reserve_release", "--at", "tomorrow"],
        ["reserve_release", "--at", "9999-12-31T23:59:59-14:00"],
    ],
)
def test_a_job_that_cannot_run_says_why(shell: Shell, product: Product, words: list[str]) -> None:
    done = shell("jobs", "run", *words, data=product.data)

    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, "", False)
    assert "Error" not in done.stderr


def test_the_ledger_of_a_fresh_installation_is_clean(shell: Shell, product: Product) -> None:
    done = shell("ledger", "check", data=product.data)

    assert (done.returncode, done.stdout) == (0, "the ledger is clean\n")


def test_the_doctor_finds_a_fresh_installation_well(shell: Shell, product: Product) -> None:
    done = shell("doctor", data=product.data)

    assert done.returncode == 0, done.stdout
    assert "PostgreSQL 18" in done.stdout


def test_the_doctor_names_a_job_that_fails_before_its_retries_are_over(
    product: Product, shell: Shell
) -> None:
    url = running_url(product.data)
    assert url is not None
    with psycopg.connect(db.conninfo(url), autocommit=True) as connection:
        kept = connection.execute(
            "INSERT INTO kernel_job_run (name, as_of, started_at, ended_at, ok, result)"
            " VALUES ('seldom_run', now(), now(), now(), false, 'PapersFailed: 1 failed')"
            " RETURNING id"
        ).fetchone()
        done = shell("doctor", data=product.data)
        connection.execute("DELETE FROM kernel_job_run WHERE id = %s", kept)

    assert done.returncode == 1
    assert "seldom_run fails: PapersFailed: 1 failed" in done.stdout


def test_the_doctor_names_a_file_of_countries_that_cannot_be_read(
    product: Product, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOIP_DB", "/nowhere/countries.mmdb")

    done = shell("doctor", data=product.data)

    assert done.returncode == 1
    assert "GEOIP_DB /nowhere/countries.mmdb cannot be read" in done.stdout


def test_clicks_are_exported(shell: Shell, product: Product, place: Path) -> None:
    key = shell("admin", "api-key", "--partner", "cli@example.org", data=product.data)
    headers = {"authorization": f"Bearer {key.stdout.strip()}"}
    link = httpx2.post(f"{product.url}/api/partner/links", headers=headers, json={}).json()
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    clicked = httpx2.get(link["url"], headers={"user-agent": agent, "referer": "https://a.test/b"})
    out = place / "clicks.csv"

    done = shell("clicks", "export", str(out), data=product.data)

    assert (done.returncode, done.stdout) == (0, "")
    rows = [
        row for row in csv.DictReader(out.read_text().splitlines()) if row["link"] == link["code"]
    ]
    assert [(row["valid"], row["reason"], row["device"], row["referrer"]) for row in rows] == [
        ("true", "", "desktop", "a.test")
    ]
    assert rows[0]["click_id"] in clicked.headers["location"]


def test_counts_are_proved_and_put_right(shell: Shell, product: Product) -> None:
    shell("admin", "api-key", "--partner", "cli@example.org", data=product.data)

    proved = shell("clicks", "rebuild", "--check", data=product.data)
    rebuilt = shell("clicks", "rebuild", data=product.data)

    assert (proved.returncode, proved.stdout) == (0, "")
    assert (rebuilt.returncode, rebuilt.stdout) == (0, "")
    assert "0 differences" in rebuilt.stderr


def test_links_of_another_shortener_are_imported(
    shell: Shell, product: Product, place: Path
) -> None:
    shell("admin", "api-key", "--partner", "cli@example.org", data=product.data)
    file = place / "yourls.csv"
    file.write_text(f"source,target,hits\n/old-1/,{product.url}/go,7\n/a b/,{product.url}/go,1\n")
    arguments = ["links", "import", str(file), "--format", "yourls", "--partner", "cli@example.org"]

    tried = shell(*arguments, "--dry-run", data=product.data)
    done = shell(*arguments, data=product.data)
    stranger = shell(*arguments[:-1], "nobody@example.org", data=product.data)

    assert (tried.returncode, tried.stdout) == (1, "")
    assert (done.returncode, done.stdout) == (1, f"{product.url}/l/old-1\n")
    assert "line 3:" in done.stderr
    assert "1 links made, 1 rows left out" in done.stderr
    assert stranger.returncode == 1


def test_commands_work_where_nothing_runs(resting: Path) -> None:
    done = command("admin", "sign-in-link", "ada@example.org", data=resting)

    assert (done.returncode, "token=" in done.stdout) == (0, True)


def test_commands_at_the_same_time_share_one_server(resting: Path) -> None:
    started = [
        subprocess.Popen(
            [*FLOWLINK, "ledger", "check", "--data", str(resting)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=resting.parent,
        )
        for _ in range(3)
    ]

    ended = [process.communicate(timeout=60)[0] for process in started]

    assert ended == ["the ledger is clean\n"] * 3


def test_a_backup_brings_everything_back(shell: Shell, resting: Path, place: Path) -> None:
    key = shell("admin", "api-key", "--partner", "ada@example.org", data=resting).stdout.strip()
    url = shell("admin", "postback-url", "direct", data=resting).stdout
    file = place / "all.backup"
    made = shell("backup", str(file), data=resting)

    restored = shell("restore", str(file), data=place / "new")

    assert (made.stdout, made.returncode, restored.returncode) == (f"{file}\n", 0, 0)
    assert file.stat().st_mode & 0o777 == 0o600
    assert shell("admin", "postback-url", "direct", data=place / "new").stdout == url
    with running(place / "new") as product:
        assert product.get("/api/partner/links", authorization=f"Bearer {key}").status_code == 200


def test_a_restore_over_data_is_refused(shell: Shell, resting: Path, place: Path) -> None:
    file = place / "all.backup"
    shell("backup", str(file), data=resting)
    before = shell("admin", "postback-url", "direct", data=resting).stdout

    done = shell("restore", str(file), data=resting)

    assert (done.returncode, "not empty" in done.stderr) == (1, True)
    assert shell("admin", "postback-url", "direct", data=resting).stdout == before


def test_what_is_no_backup_is_refused(shell: Shell, place: Path) -> None:
    (place / "file").write_text("not an archive")

    done = shell("restore", str(place / "file"), data=place / "new")

    assert (done.returncode, "cannot be read as a backup" in done.stderr) == (1, True)


def test_a_data_directory_may_have_a_blank_in_its_name(place: Path) -> None:
    done = command("ledger", "check", data=place / "my data")

    assert (done.returncode, done.stdout) == (0, "the ledger is clean\n"), done.stderr


def test_the_secrets_of_another_installation_are_told_apart(shared: str, place: Path) -> None:
    ask = ("admin", "postback-url", "direct")

    done = command(*ask, data=place / "other", DATABASE_URL=shared)

    assert (done.returncode, done.stdout) == (1, ""), done.stdout
    assert "SECRET_KEYS" in done.stderr
