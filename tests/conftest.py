"""What all tests share: the real parts as fixtures, and the count of those that did not run."""

import asyncio

# In this order: a module that another has imported comes too late for pytest to rewrite its asserts.
pytest_plugins = ["tests.harness.tally", "tests.harness.fixtures"]


def pytest_configure() -> None:
    """Say that there is no event loop yet: pytest-asyncio asks, and Python would make one that nobody closes."""
    asyncio.set_event_loop(None)
