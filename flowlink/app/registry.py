"""What the product is made of: every module's tables, entry points and jobs, by name."""

from importlib import import_module
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

from fastapi import APIRouter

MODELS = (
    "kernel",
    "identity",
    "ledger",
    "papers",
    "notify",
    "partners",
    "tracking",
    "teams",
    "billing",
    "risk",
    "payouts",
)
TABLES = ("models", "rollups")  # how the names of files with tables end
JOBS = ("app", "identity", "notify", "tracking", "teams", "billing", "risk", "payouts", "insights")
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
    "billing.hooks",
    "billing.api",
    "billing.routes",
    "billing.admin",
    "billing.admin_api",
    "teams.routes",
    "tracking.admin_inbox",
    "tracking.admin_reports",
    "risk.admin",
    "payouts.routes",
    "payouts.sales_api",
    "payouts.admin",
    "payouts.paper_pages",
    "payouts.paper_console",
    "payouts.watch_admin",
    "payouts.run_admin",
    "payouts.bank_admin",
    "payouts.hooks",
    "insights.routes",
    "insights.partner",
    "insights.clicks",
    "insights.partner_hooks",
    "insights.partner_cases",
    "insights.admin",
    "insights.admin_accounting",
    "insights.api",
    "insights.api_terms",
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
