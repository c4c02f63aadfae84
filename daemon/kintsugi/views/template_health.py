"""
Keeps since when each service has been well with the very template that its workload asks for.

A rolling update breaks no health: it is the template that must show by itself that it is good.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from kintsugi.model.known import GoodRevision
from kintsugi.model.views import ServiceView
from kintsugi.views.view_builder import is_rollout_complete


class TemplateHealth:
    """The template with which each service is well, and since when. What is not known for certain starts anew."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, datetime]] = {}

    def note(self, view: ServiceView, now: datetime) -> None:
        """
        Take in a new view. One that is not current says nothing, and what was known before goes on.

        Whatever its author calls healthy: what does not serve, or does not answer its checks, shows no template to be good.
        """
        if not view.is_current:
            return
        is_well = view.healthy and view.serving and not view.unmet
        if not is_well or not view.template or not is_rollout_complete(view):
            self.forget(view.name)
        elif self._since.get(view.name, ("",))[0] != view.template:
            self._since[view.name] = (view.template, now)

    def forget(self, service: str) -> None:
        """Count anew from the next view on."""
        self._since.pop(service, None)

    def forget_all(self) -> None:
        """Count anew for all services."""
        self._since.clear()

    def good(self, views: Iterable[ServiceView], lasting: timedelta, now: datetime) -> tuple[GoodRevision, ...]:
        """Return the revisions of these views that have been healthy for `lasting` with all of their pods."""
        since = {name: moment for name, (_, moment) in self._since.items()}
        return tuple(
            GoodRevision(
                workload=view.workload.metadata.uid,
                template=view.template,
                number=view.revision,
                first_good=since[view.name],
                last_good=now,
            )
            for view in views
            if view.is_current and view.workload and view.name in since and now - since[view.name] >= lasting
        )
