"""A daemon that does nothing but what a supervisor's test asks of it."""

import asyncio
import os
import subprocess
import sys
import time

from fastapi import FastAPI, Response

from shared.embedded.settings import inherited_environment

CRASHES = "PLUMBLINE_STANDIN_CRASHES"


def build() -> FastAPI:
    if CRASHES in inherited_environment():
        sys.exit(7)
    app = FastAPI()
    app.state.ready = True

    @app.get("/healthz")
    async def healthz() -> dict[str, int]:
        return {"pid": os.getpid()}

    @app.get("/readyz")
    async def readyz(response: Response) -> None:
        response.status_code = 200 if app.state.ready else 503

    @app.post("/hang")
    async def hang() -> None:
        asyncio.get_running_loop().call_later(0.1, time.sleep, 3600)

    @app.post("/child")
    def child() -> dict[str, int]:
        """Start a grandchild that leaves the daemon's session, as a training run might."""
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
        app.state.child = sleeper
        return {"pid": sleeper.pid}

    @app.get("/environment")
    async def environment() -> dict[str, str]:
        inherited = inherited_environment()
        return {name: value for name, value in inherited.items() if name.startswith("PLUMBLINE_")}

    return app
