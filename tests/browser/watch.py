"""Listens to a browser for what must not happen: requests to other hosts, errors in the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Route

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOCAL_SCHEMES = ("data", "blob", "about", "file")


class Watch:
    """What a browser context did that it must not do.

    Attributes
    ----------
    requests : list of str
        Addresses of other hosts that a page asked for; none was let through.
    errors : list of str
        Errors in the console, and exceptions that nothing caught.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        context.route(is_elsewhere, self._refuse)
        context.on("page", self._watch_sockets)
        context.on("console", self._note_console)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))

    def check(self) -> None:
        """Fail if anything happened since the last check."""
        requests, errors = self.requests[:], self.errors[:]
        self.requests.clear()
        self.errors.clear()
        assert not requests, f"requests to other hosts: {requests}"
        assert not errors, "errors in the browser:\n" + "\n".join(errors)

    @contextmanager
    def expecting(self, pattern: str) -> Iterator[None]:
        """Allow console errors that match a pattern inside the block, and no others."""
        yield
        self.errors = [error for error in self.errors if not re.search(pattern, error)]

    def _refuse(self, route: Route) -> None:
        self.requests.append(route.request.url)
        route.abort()

    def _watch_sockets(self, page: Page) -> None:
        page.on(
            "websocket",
            lambda socket: self.requests.append(socket.url) if is_elsewhere(socket.url) else None,
        )

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text}")


def is_elsewhere(url: str) -> bool:
    """Say whether an address is on another host."""
    parts = urlsplit(url)
    return parts.scheme not in LOCAL_SCHEMES and parts.hostname not in LOOPBACK
