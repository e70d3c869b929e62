"""The operator's health endpoint: `/healthz` says whether this process still does its work, leading or standing by."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


async def serve(port: int, unhealthy: Callable[[], str | None]) -> web.AppRunner:
    """Answer 200, or 503 with the reason that `unhealthy` gives. The caller cleans the runner up."""

    async def healthz(_: web.Request) -> web.Response:
        reason = unhealthy()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
