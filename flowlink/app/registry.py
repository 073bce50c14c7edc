"""What the product is made of: every module's tables, entry points and jobs, by name."""

from importlib import import_module
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import Any

from fastapi import APIRouter

MODELS = ("kernel", "identity", "ledger", "notify", "partners", "tracking", "risk", "payouts")
MORE_MODELS = (
    "partners.group_models",
    "partners.onboarding_models",
    "payouts.deal_models",
    "payouts.case_models",
)
JOBS = ("app", "identity", "notify", "tracking", "risk", "payouts", "insights")
ROUTERS = (
    "identity.routes",
    "partners.routes",
    "partners.admin",
    "tracking.routes",
    "tracking.admin",
    "risk.admin",
    "payouts.routes",
    "payouts.sales_api",
    "payouts.admin",
    "insights.routes",
    "insights.partner",
    "insights.partner_cases",
    "insights.admin",
    "insights.api",
    "insights.api_terms",
)


def load() -> None:
    """Import all tables, jobs and handlers, so that they are known before the first request."""
    for module in MODELS:
        _import(f"{module}.models")
    for name in MORE_MODELS:
        _import(name)
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
