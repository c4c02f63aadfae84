"""The live view of each service, kept up to date from the watch."""

from kintsugi.views.caches import Caches
from kintsugi.views.service_views import ServiceViews

__all__ = ["Caches", "ServiceViews"]
