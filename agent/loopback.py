"""Serving on this machine alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from agent.errors import UsageError


def listen(port: int) -> socket.socket:
    """A loopback socket; port 0 takes a free one. Raises `UsageError` for a taken one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}") from None
    listener.listen()  # a caller may connect before the server has come up
    return listener


def address(listener: socket.socket) -> str:
    """The root of what is served on it."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def serve(application: Starlette, listener: socket.socket) -> None:
    """Serve until Ctrl-C."""
    uvicorn.Server(uvicorn.Config(application, log_level="warning")).run(sockets=[listener])


@contextmanager
def served(application: Starlette, port: int = 0) -> Iterator[str]:
    """The application in a thread of this process; yields its root."""
    listener = listen(port)
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join()
