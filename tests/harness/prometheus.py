"""A real Prometheus that scrapes itself once a second."""

import json
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.harness.processes import Program, free_port
from tests.harness.waiting import wait_for

PROGRAM = "prometheus"
OWN_JOB = "prometheus"


def obstacle() -> str | None:
    """Return why no Prometheus can be had here, or None."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed (tests/harness/setup installs it)"


@dataclass(kw_only=True, slots=True)
class Prometheus:
    """One Prometheus, on a loopback port."""

    folder: Path
    url: str = ""
    _program: Program | None = None

    def start(self) -> None:
        """Start it, and wait until it has scraped itself."""
        address = f"127.0.0.1:{free_port()}"
        config = self.folder / "prometheus.json"
        scraped = {"job_name": OWN_JOB, "static_configs": [{"targets": [address]}]}
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scraped]}))
        arguments = [
            PROGRAM,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={address}",
        ]
        self.url = f"http://{address}"
        self._program = Program(name=PROGRAM, arguments=arguments, log=self.folder / "prometheus.log")
        self._program.start()
        wait_for(lambda: self._has(f'up{{job="{OWN_JOB}"}} == 1'), within=60, describe=self._program.tail)

    def stop(self) -> None:
        """Kill it."""
        if self._program is not None:
            self._program.stop()

    def _has(self, query: str) -> bool:
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{urlencode({'query': query})}", timeout=5) as answer:
            return bool(json.load(answer)["data"]["result"])
