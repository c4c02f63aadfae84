"""What the fork server has done before it forks a daemon: everything is imported, and the files of every story were loaded once.

The daemon reads the files again, by itself; those whose content was loaded before are remembered instead of loaded anew, which
is a fifth of what a life takes. What is there by then is there for good: no daemon's garbage collector looks at it, which would
copy it, too.
"""

import gc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from kintsugi.catalog import watch
from kintsugi.catalog.library import Source, catalog_paths
from kintsugi.catalog.load import load_sources, read_sources
from kintsugi.model.catalog import Catalog
from tests.integration import crash_daemon
from tests.integration.crash_restore import RESTORE
from tests.integration.crash_story import BAD_ROLLOUT, CRASH_LOOP, SLOWLY_TAKEN_BACK, TAKEN_BACK_AFTER_MANY_DEATHS

__all__ = ["crash_daemon"]

_LOADED: dict[tuple[float, float, tuple[bytes, ...]], Catalog] = {}


def load_or_remember(sources: Iterable[Source], *, durations: float = 1.0, deadlines: float = 1.0) -> Catalog:
    """Do what `load_sources` does; whatever the files are called, the same content is loaded once."""
    read = list(sources)
    content = durations, deadlines, tuple(source.content for source in read)
    if content not in _LOADED:
        _LOADED[content] = load_sources(read, durations=durations, deadlines=deadlines)
    return replace(_LOADED[content], texts={source.name: source.content.decode() for source in read})


watch.load_sources = load_or_remember  # type: ignore[attr-defined]
for scene in (RESTORE, CRASH_LOOP, BAD_ROLLOUT, SLOWLY_TAKEN_BACK, TAKEN_BACK_AFTER_MANY_DEATHS):
    with TemporaryDirectory() as folder:
        files = scene.daemon(Path(folder) / "story").catalog
        load_or_remember(read_sources(catalog_paths(files)), durations=scene.durations)
gc.freeze()
