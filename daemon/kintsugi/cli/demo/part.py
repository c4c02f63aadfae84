"""A part of the demonstration: scenes that are played on one cluster, watched by one daemon with one ledger."""

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kintsugi.cli.demo.scene import DemoScene
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.stage import DemoStage, settings_of, watched
from kintsugi.cli.demo.teller import Teller
from kintsugi.settings import CatalogSettings, Settings
from kubesim import EmbeddedCluster, Image


def unchanged_settings(settings: Settings) -> Settings:
    """Change no setting."""
    return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoPart:
    """
    A part of the demonstration: parts with one `place` share its cluster. `speed` is the cluster's speed relative to
    Kubernetes, `factor` the factor on every duration of the shipped files.
    """

    name: str
    place: str
    about: str
    services: Sequence[str]
    scenes: Sequence[DemoScene]
    speed: float
    factor: float
    furnish: Callable[[EmbeddedCluster, Path], Coroutine[Any, Any, None]]
    images: Callable[[], Mapping[str, Image]] = dict
    adapt: Callable[[Settings], Settings] = unchanged_settings

    @property
    def names_services(self) -> bool:
        """Return whether several runs may be shown at once, so that each line names its service."""
        return len(self.services) > 3

    def only(self, wanted: Collection[SceneName]) -> "DemoPart":
        """Return it with the scenes that are wanted."""
        return replace(self, scenes=[each for each in self.scenes if each.name in wanted])

    def watch(
        self, cluster: EmbeddedCluster, folder: Path, catalog: Path | None, teller: Teller
    ) -> AbstractAsyncContextManager[DemoStage]:
        """Let a daemon watch the cluster."""
        settings = self.adapt(settings_of(cluster, folder, durations=self.factor))
        settings = replace(settings, catalog=CatalogSettings(directory=catalog))
        return watched(cluster, settings, self.services, teller)
