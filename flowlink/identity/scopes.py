"""What an API key may do: `thing:read` or `thing:write`, by the kind of its owner."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from flowlink.kernel.errors import Forbidden, Invalid

OwnerKind = Literal["operator", "partner", "team"]

SCOPES: Mapping[OwnerKind, tuple[str, ...]] = {
    "operator": ("admin:read", "admin:write"),
    "partner": ("links:read", "links:write", "earnings:read"),
    "team": ("resources:read", "resources:write", "support:read", "support:write"),
}


class UnknownScope(Invalid):
    message = "There is no such permission."
    field = "scopes"


class NoScope(Invalid):
    message = "Please choose at least one permission."
    field = "scopes"


class OutOfScope(Forbidden):
    message = "This key does not carry the permission %(scope)s."


def check(owner_kind: OwnerKind, asked: Sequence[str] | None) -> list[str] | None:
    """The scopes in their usual order; None stands for all that the owner may do.

    :raises NoScope: an empty list, which must not pass for None.
    :raises UnknownScope: a scope that keys of this kind cannot have.
    """
    if asked is None:
        return None
    if not asked:
        raise NoScope
    if not set(asked) <= set(SCOPES[owner_kind]):
        raise UnknownScope
    return [scope for scope in SCOPES[owner_kind] if scope in asked]


def allows(held: Collection[str] | None, scope: str) -> bool:
    """Whether the held scopes cover `scope`; who may write a thing may read it."""
    thing = scope.partition(":")[0]
    return held is None or scope in held or f"{thing}:write" in held
