"""Keeping an installation well: migrate, doctor, backup, restore, demo."""

from argparse import Namespace

from flowlink.app import opening
from flowlink.app.outcome import note, say
from flowlink.kernel import clock, migrate


def migrate_now(arguments: Namespace) -> None:
    """Bring the database up; harmless when it is."""
    with opening.server_for(arguments) as url:
        if migrate.is_current(url):
            note("the database is at this version already")
        else:
            opening.upgrade(url)
            note(f"the database is at {migrate.head()} now")


def doctor(arguments: Namespace) -> int:
    """Print what is well and what is not; exit code 1 when anything is not."""
    from flowlink.app import diagnosis

    findings = diagnosis.examine(arguments)
    for finding in findings:
        say(f"{'ok  ' if finding.well else 'BAD '} {finding.text}")
    return 0 if all(finding.well for finding in findings) else 1


def backup(arguments: Namespace) -> None:
    """Write one file with everything that `restore` needs, and print its path."""
    from flowlink.app import backups

    data = opening.configure(arguments)
    with opening.server_for(arguments) as url:
        say(str(backups.write(url, data=data, out=arguments.out, now=clock.now())))


def restore(arguments: Namespace) -> None:
    """Fill an empty installation from a backup, then bring it to this version."""
    from flowlink.app import backups

    data = opening.configure(arguments)
    with opening.server_for(arguments) as url:
        backups.restore(arguments.file, url=url, data=data)
        if not migrate.is_current(url):
            opening.upgrade(url)
    note(f"restored from {arguments.file}")


def demo(arguments: Namespace) -> None:
    """Fill an empty installation with a believable month."""
    with opening.database(arguments):
        from flowlink.app import demo as month

        say(month.fill(now=clock.now()))
