"""What `flowlink up` tells its operator: where to go, and how to get in."""

from flowlink.app import access
from flowlink.app.outcome import say
from flowlink.kernel import settings


def show(*, first: bool) -> None:
    """Print the address; in development, or the first time, also the way in.

    The admin secret is printed once, by the first start on this data.
    """
    now = settings.current()
    lines = [f"flowlink is ready: {now.url}"]
    if first or not now.in_production:
        link = access.sign_in_link(email=now.operator_email, hat="operator")
        lines.append(f"Sign in as operator (once, within 15 minutes): {link}")
    if first:
        lines.append(f"Admin secret (header x-admin-secret): {now.admin_secret}")
    say("\n".join(lines))
