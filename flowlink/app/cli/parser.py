"""The arguments of every command. Light: `flowlink --help` imports nothing of the product."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, cast

Add = Callable[..., argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and where to read on."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"flowlink: {message} (see {self.prog} --help)\n")


def build() -> argparse.ArgumentParser:
    """All commands. Each names the function that runs it as `module:function`."""
    parser = _Parser(
        prog="flowlink", description="A partner platform and a small PaaS, one ledger."
    )
    parser.add_argument("--version", action="store_const", dest="run", const="report:version")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, metavar="DIR", help="where the embedded database lives")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, run: str, summary: str, under: Any = commands) -> argparse.ArgumentParser:
        made = under.add_parser(name, help=summary, description=summary, parents=[data])
        made.set_defaults(run=run)
        return cast("argparse.ArgumentParser", made)

    _roles(add)
    _upkeep(add)
    _work(add, commands)
    _admin(add, commands)
    _tracking(add, commands)
    _payouts(add, commands)
    _billing(add)
    return parser


def _group(commands: Any, name: str, summary: str) -> Any:
    group = commands.add_parser(name, help=summary, description=summary)
    return group.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)


def _roles(add: Add) -> None:
    up = add("up", "serve:up", "start everything on this machine")
    web = add("web", "serve:web", "serve pages, API, links and postbacks")
    edge = add("edge", "serve:edge", "serve links and postbacks alone")
    for role in (up, web, edge):
        role.add_argument("--host", default="127.0.0.1", help="address to listen on")
        role.add_argument("--port", type=_port, help="port to listen on (8000)")
    edge.add_argument("--processes", type=_count, default=1, help="how many answer (1)")
    add("worker", "serve:worker", "run jobs, the schedule and the outbox")
    add("consumer", "serve:consumer", "store what edges send over NATS, tell them the links")


def _upkeep(add: Add) -> None:
    add("migrate", "upkeep:migrate_now", "bring the database up to this version")
    add("doctor", "upkeep:doctor", "look for what is wrong with this installation")
    backup = add("backup", "upkeep:backup", "write the database and its keys to one file")
    backup.add_argument("out", type=Path, nargs="?", metavar="FILE")
    restore = add("restore", "upkeep:restore", "fill an empty installation from a backup")
    restore.add_argument("file", type=Path, metavar="FILE")
    add("demo", "upkeep:demo", "fill an empty installation with a believable month")


def _work(add: Add, commands: Any) -> None:
    jobs = _group(commands, "jobs", "what the schedule does")
    add("list", "work:list_jobs", "list jobs, when they run and how they last ended", jobs)
    run = add("run", "work:run_job", "run one job now and wait for its end", jobs)
    run.add_argument("name", metavar="NAME")
    run.add_argument("--at", metavar="ISO-TIME", help="as if it were this time")
    ledger = _group(commands, "ledger", "the money")
    add("check", "work:check_ledger", "prove the ledger, or say what is wrong", ledger)
    journal = add("export", "payouts:export_journal", "write the journal to a CSV file", ledger)
    journal.add_argument("out", type=Path, metavar="OUT.csv")
    journal.add_argument("--from", dest="since", metavar="DATE", help="first day (UTC)")
    journal.add_argument("--to", dest="until", metavar="DATE", help="last day (UTC)")


def _admin(add: Add, commands: Any) -> None:
    admin = _group(commands, "admin", "let people and programs in")
    link = add("sign-in-link", "admin:sign_in_link", "print a one-time sign-in URL", admin)
    link.add_argument("email", metavar="EMAIL")
    hats = link.add_mutually_exclusive_group()
    for hat in ("partner", "operator", "agent"):
        hats.add_argument(f"--{hat}", dest="hat", action="store_const", const=hat)
    key = add("api-key", "admin:api_key", "print a new API key, this once", admin)
    owner = key.add_mutually_exclusive_group(required=True)
    owner.add_argument("--operator", action="store_true")
    owner.add_argument("--partner", metavar="EMAIL")
    owner.add_argument("--team", metavar="SLUG")
    key.add_argument("--scopes", metavar="SCOPE,…", help="without it: all that its owner may")
    pay = add("sandbox-pay", "admin:sandbox_pay", "pay a payment in the sandbox", admin)
    pay.add_argument("payment", metavar="PAYMENT_ID")
    url = add("postback-url", "admin:postback_url", "print a network's postback URL", admin)
    url.add_argument("network", metavar="NETWORK")


def _tracking(add: Add, commands: Any) -> None:
    postback = _group(commands, "postback", "what networks report")
    test = add("test", "tracking:try_postback", "try a postback without effect", postback)
    test.add_argument("network", metavar="NETWORK")
    test.add_argument("fields", metavar="FIELD=VALUE", nargs="*", type=_field)
    network = _group(commands, "network", "who reports conversions")
    add("presets", "tracking:list_presets", "list the networks we know how to talk to", network)
    made = add("add", "tracking:add_network", "add a network from a preset", network)
    made.add_argument("preset", metavar="PRESET")
    made.add_argument("--name", metavar="NAME", help="without it: as the preset is called")
    clicks = _group(commands, "clicks", "what visitors did")
    export = add("export", "tracking:export_clicks", "write all clicks to a file", clicks)
    export.add_argument("out", type=Path, metavar="OUT.csv|OUT.parquet")
    rebuild = add("rebuild", "tracking:rebuild_clicks", "count all clicks again", clicks)
    rebuild.add_argument("--check", action="store_true", help="only say what differs")
    for spanned in (export, rebuild):
        spanned.add_argument("--from", dest="since", metavar="DATE", help="first day (UTC)")
        spanned.add_argument("--to", dest="until", metavar="DATE", help="last day (UTC)")
    journals = _group(commands, "journal", "clicks on their way to the database")
    add("list", "journal:list_journals", "say how each journal stands", journals)
    accept = add("accept", "journal:accept_journal", "take in a replaced journal", journals)
    accept.add_argument("directory", type=Path, metavar="DIRECTORY")
    links = _group(commands, "links", "short links")
    taken = add("import", "tracking:import_links", "make links of another shortener's CSV", links)
    taken.add_argument("file", type=Path, metavar="FILE")
    formats = ("flowlink", "bitly", "shlink", "kutt", "yourls", "dub")
    taken.add_argument("--format", required=True, choices=formats, help="where it comes from")
    taken.add_argument("--partner", required=True, metavar="EMAIL", help="whose they become")
    taken.add_argument("--domain", default="", metavar="HOST", help="on a domain of the list")
    taken.add_argument("--dry-run", action="store_true", help="only say what would be made")


def _payouts(add: Add, commands: Any) -> None:
    bank = _group(commands, "bank", "what the bank answers")
    answer = add("take-in", "payouts:take_in", "take in a pain.002 or camt.053 file", bank)
    answer.add_argument("file", type=Path, metavar="FILE.xml")
    fake = add("fakebank", "payouts:fakebank", "answer orders as a bank would (development)")
    fake.add_argument("file", type=Path, metavar="ORDERS.xml", help="a run's pain.001 file")
    fake.add_argument("--out", type=Path, metavar="DIR", help="where the answers go (beside it)")
    fake = add("fakepay", "payouts:fakepay", "run a fake PayPal that pays nobody (development)")
    fake.add_argument("--port", type=_port, default=8010, help="port to listen on (8010)")
    fake.add_argument("--webhook", metavar="URL", help="where its events go (BASE_URL)")
    fake.add_argument("--seed", type=int, default=0, help="which accidents happen")
    for knob in ("duplicated", "delayed", "lost", "reordered", "unanswered", "server-errors"):
        fake.add_argument(f"--{knob}", type=int, default=0, metavar="PERCENT")


def _billing(add: Add) -> None:
    fake = add("fakestripe", "billing:fakestripe", "run a fake Stripe that charges nobody")
    fake.add_argument("--port", type=_port, default=8011, help="port to listen on (8011)")
    fake.add_argument("--webhook", metavar="URL", help="where its events go (BASE_URL)")
    fake.add_argument("--seed", type=int, default=0, help="which accidents happen")
    fake.add_argument("--slow", type=int, default=0, metavar="SECONDS", help="before each answer")
    for knob in ("duplicated", "delayed", "lost", "reordered"):
        fake.add_argument(f"--{knob}", type=int, default=0, metavar="PERCENT", help="webhooks")
    for knob in ("unanswered", "server-errors", "late-errors", "nonsense"):
        fake.add_argument(f"--{knob}", type=int, default=0, metavar="PERCENT", help="calls")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    return name, value


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code: 0 done, 1 refused with the reason, 2 misused."""
    parser = build()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run") or chosen.run is None:
        parser.print_help(sys.stderr)
        return 2
    module, function = chosen.run.split(":")
    outcome = import_module("flowlink.app.outcome")
    command = getattr(import_module(f"flowlink.app.cli.{module}"), function)
    return cast("int", outcome.of(command, chosen))
