"""Servers for tests: real ones, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent import server
from agent.loopback import served

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
    with served(app) as root:
        yield root + server.BASE
