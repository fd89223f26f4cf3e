"""`plumb` whose mesh is made of stand-ins."""

from functools import partial

from shared.cli import app, mesh
from shared.embedded.control import become_supervisor, start_detached
from tests.embedded.conftest import STANDIN

if __name__ == "__main__":
    mesh.start_detached = partial(start_detached, module=STANDIN)
    mesh.become_supervisor = partial(become_supervisor, module=STANDIN)
    app.main()
