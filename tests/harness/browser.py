"""A real Chromium, Debian's, and what axe (https://github.com/dequelabs/axe-core) says of a page in it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.async_api import Browser, Page, async_playwright

PROGRAM = "chromium"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser, and stop it at the end. The test is skipped where it is missing; with CI set it fails."""
    program = shutil.which(PROGRAM)
    if program is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"{PROGRAM} is not installed: run tests/harness/setup")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            await browser.close()


async def violations(page: Page) -> str:
    """Return what axe objects to, "" for nothing."""
    found = await Axe().run(page)
    return str(found.generate_report()) if found.violations_count else ""
