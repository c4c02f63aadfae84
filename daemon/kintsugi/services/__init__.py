"""The live view of each service, kept up to date from the watch."""

from kintsugi.services.caches import Caches
from kintsugi.services.live import Services

__all__ = ["Caches", "Services"]
