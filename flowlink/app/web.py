"""The web application: every module's routes behind one stack, the click path in front of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from flowlink.app import api_docs, health, registry
from flowlink.app.hosts import ShortHosts
from flowlink.identity import hats
from flowlink.identity.deps import load_viewer
from flowlink.kernel import settings
from flowlink.partners import queries as partners
from flowlink.tracking import edge
from flowlink.web import errors, middleware, routes as gallery, static

EDGE_PATHS = ("/l/", "/aff/postback")


class EdgeFirst:
    """Hands clicks and postbacks to the edge before the web framework sees them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(EDGE_PATHS):
            await edge.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    early = asyncio.create_task(edge.app.open_early()) if app.state.opens_edge else None
    yield
    if early is not None:
        await early
    await edge.close()


def create_app(*, opens_edge: bool = False) -> FastAPI:
    """The whole product as one ASGI application; `db.connect` has to come first.

    The edge in it opens its journal with the first click, or at once if it `opens_edge`.
    """
    registry.load()
    hats.install(partner=partners.active_of_user)
    app = FastAPI(
        title="flowlink",
        version=registry.version(),
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.opens_edge = opens_edge
    errors.install(app)
    app.include_router(health.router)
    for router in registry.routers():
        app.include_router(router, dependencies=[Depends(load_viewer)])
    app.include_router(api_docs.router, dependencies=[Depends(load_viewer)])
    if not settings.current().in_production:
        app.include_router(gallery.router)
    static.install(app)
    middleware.install(app)
    app.add_middleware(EdgeFirst)
    app.add_middleware(ShortHosts)
    return app
