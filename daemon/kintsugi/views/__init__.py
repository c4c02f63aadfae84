"""The live view of each service, kept up to date from the watch."""

from kintsugi.views.caches import Caches
from kintsugi.views.service_views import IDLE, ServiceViews

__all__ = ["IDLE", "Caches", "ServiceViews"]
