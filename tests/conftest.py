"""What all tests share: the real parts as fixtures, and the count of those that did not run."""

import asyncio
import gc
import os
import signal

from hypothesis import settings

# In this order: a module that another has imported comes too late for pytest to rewrite its asserts.
pytest_plugins = ["tests.harness.tally", "tests.harness.fixtures"]

# One revision fails or passes, whoever runs it, and however busy the machine is. `make chaos` draws other examples, with a seed
# that it prints.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("drawn", deadline=None)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """
    Have no event loop yet: pytest-asyncio asks, and Python would make one that nobody closes. Let Ctrl-C reach what is started.
    """
    asyncio.set_event_loop(None)
    # Whoever runs the tests may have a cluster and a login: neither is asked.
    os.environ.update(KUBECONFIG=os.devnull, XDG_CONFIG_HOME="/nonexistent")
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # in the background of a shell: programs that are started inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """
    Let the garbage collector look no more at what was imported, and seldom at the rest, as a daemon does.

    A fifth of the time of the tests went into that.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
