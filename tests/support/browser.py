"""A headless Chromium without a network, whose pages remember what went wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urldefrag

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",  # which root in a container may not have
    "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
TIMEOUT_MS = 30_000  # of a busy machine; nothing here takes a tenth of it
DESKTOP = (1280, 800)
ABOUT_SPEED = ("GPU stall due to ReadPixels", "willReadFrequently")  # of 3-D drawn without a GPU


def chromium() -> str | None:
    """The browser's program, where there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser for a module of tests.

    Not longer: while it lives its event loop counts as this thread's.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


class Tab:
    """A page of its own profile: nothing is shared with other tabs but what its address holds."""

    def __init__(
        self,
        browser: Browser,
        size: tuple[int, int] = DESKTOP,
        scheme: Literal["light", "dark"] = "light",
        reduced_motion: Literal["reduce", "no-preference"] = "no-preference",
    ) -> None:
        self.faults: list[str] = []
        self._address = ""
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion=reduced_motion,
        )
        self._context.set_default_timeout(TIMEOUT_MS)
        self._context.set_offline(True)
        self._context.route("**/*", self._only_the_page)
        self.page = self._context.new_page()
        self._listen(self.page)

    def open(self, path: Path, fragment: str = "") -> Page:
        """Open a file as a double click does; returns when its scripts have run."""
        self._address = path.absolute().as_uri()
        self.page.goto(self._address + fragment, wait_until="load")
        return self.page

    def close(self) -> None:
        """Close the tab; anything that went wrong in it, or that it asked a network for, is a
        failure.
        """
        self._context.close()
        assert not self.faults, self.faults

    def _only_the_page(self, route: Route) -> None:
        """Let the page's own file through, and what it made itself; the rest fails, which is a
        fault.
        """
        if urldefrag(route.request.url).url == self._address or route.request.url.startswith(
            ("data:", "blob:")
        ):
            route.continue_()
        else:
            route.abort()

    def _listen(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error.stack or error}"))
        page.on("crash", lambda _: self.faults.append("the page crashed"))
        page.on("requestfailed", self._on_failed)
        page.on("dialog", self._on_dialog)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert") and not any(
            words in message.text for words in ABOUT_SPEED
        ):
            self.faults.append(f"console {message.type}: {message.text}")

    def _on_failed(self, request: Request) -> None:
        self.faults.append(f"request failed: {request.url}: {request.failure}")

    def _on_dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()
