"""Servers for tests: real ones, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent import server

Answer = Callable[[Request, int], Response]


@pytest.fixture(scope="session")
def tiny_url() -> Iterator[str]:
    """Base URL of the product's own server."""
    with server.running() as url:
        yield url


@pytest.fixture
def misbehaving() -> Iterator[Callable[[Answer], str]]:
    """Start a server that answers every request by a function of request and running number."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(_serving(answer))


@contextmanager
def _serving(answer: Answer) -> Iterator[str]:
    count = 0

    async def endpoint(request: Request) -> Response:
        nonlocal count
        count += 1
        await request.body()
        return answer(request, count)

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])
    listener = server.listen(0)
    uvicorn_server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(
        target=uvicorn_server.run, kwargs={"sockets": [listener]}, daemon=True
    )
    thread.start()
    try:
        yield server.base_url(listener)
    finally:
        uvicorn_server.should_exit = True
        thread.join()
