"""What the product is made of: every module's tables, entry points and jobs, by name."""

from importlib import import_module
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

from fastapi import APIRouter

MODELS = ("kernel", "identity", "ledger", "notify", "partners", "tracking", "risk", "payouts")
TABLES = ("models", "rollups")  # how the names of files with tables end
JOBS = ("app", "identity", "notify", "tracking", "risk", "payouts", "insights")
ROUTERS = (
    "identity.routes",
    "partners.routes",
    "partners.admin",
    "tracking.routes",
    "tracking.bulk_pages",
    "tracking.link_pages",
    "tracking.statistics_pages",
    "tracking.link_api",
    "tracking.link_console",
    "tracking.admin",
    "risk.admin",
    "payouts.routes",
    "payouts.admin",
    "insights.routes",
    "insights.partner",
    "insights.admin",
    "insights.api",
)


def load() -> None:
    """Import all tables, jobs and handlers, so that they are known before the first request."""
    for module in MODELS:
        package = import_module(f"flowlink.{module}")
        for part in iter_modules(package.__path__):
            if part.name.endswith(TABLES):
                _import(f"{module}.{part.name}")
    for module in JOBS:
        _import(f"{module}.jobs")


def metadata() -> Any:
    """The tables of all modules, for comparing with the migrated database."""
    load()
    return import_module("flowlink.kernel.db").Base.metadata


def routers() -> list[APIRouter]:
    """Every module's routes, in the order in which they are asked."""
    return [module.router for module in map(_import, ROUTERS) if module is not None]


def _import(name: str) -> Any:
    if find_spec(f"flowlink.{name}") is None:
        return None
    return import_module(f"flowlink.{name}")


def version() -> str:
    """The installed version of the product."""
    return installed_version("flowlink")
