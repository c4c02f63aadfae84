"""A real helm, the manifests of the documentation, which are what the chart renders, and the schema of the settings among its values."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kintsugi.settings import Settings
from tests.harness import parts

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "kintsugi"
DOCS = ROOT / "docs"
SCHEMA = CHART / "values.schema.json"
NAME = "kintsugi"

DOCUMENTED: Mapping[str, Any] = {
    "image": {"repository": "registry.example.com/kintsugi"},
    "catalog": {"example": True},
    "namespaces": ["production"],
    "restore": {"namespaces": ["production"]},
    "networkPolicy": {"enabled": True},
    "tokens": {
        "webhook": {"existingSecret": "kintsugi-webhook"},
        "operators": {"existingSecret": "kintsugi-operators"},
    },
}
"""The values by which the documentation's manifests are rendered."""

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "deployment.yaml": ("settings", "ledger", "deployment", "service"),
    "least-rights.yaml": ("rights",),
    "network-policy.yaml": ("networkpolicy",),
}
"""Which templates each of them is made of."""

RENDERED = "# From here on it is what the chart renders (helm/kintsugi)."
"""The line that parts a manifest's own words from the chart's."""

DURATION = r"^(\d+(\.\d+)?(ms|s|m|h))+$"
"""Go's durations, as `kintsugi.durations` reads them. None of the settings may be 0."""

CONSTRAINTS = frozenset(
    {"type", "enum", "items", "uniqueItems", "additionalProperties", "pattern", "maxLength"}
    | {"minimum", "exclusiveMinimum", "maximum"}
)
"""What is kept of a setting's schema: what a value may be, without its documentation."""

OF_A_RELEASE = ("# Source:", "checksum/settings:", "helm.sh/resource-policy:")
"""Lines that mean something to helm alone."""


class HelmError(Exception):
    """helm refused; the message is what it said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Helm:
    """Runs helm, on the chart if nothing else is said, for one release; what it keeps for itself lies in `folder`."""

    folder: Path
    kubeconfig: Path | None = None
    namespace: str = NAME
    release: str = NAME

    def lint(self, values: Mapping[str, Any]) -> str:
        """Return what `helm lint --strict` said. Raises HelmError."""
        return self.run("lint", "--strict", str(CHART), values=values)

    def template(self, values: Mapping[str, Any], *arguments: str) -> str:
        """Return the rendered manifests, as YAML. Raises HelmError."""
        return self.run("template", self.release, str(CHART), *arguments, values=values)

    def install(self, values: Mapping[str, Any]) -> str:
        """Install the release and wait until it is ready; return the notes. Raises HelmError."""
        return self.run("install", self.release, str(CHART), "--wait", "--timeout=10m", values=values)

    def upgrade(self, values: Mapping[str, Any]) -> str:
        """Upgrade the release and wait until it is ready; return the notes. Raises HelmError."""
        return self.run("upgrade", self.release, str(CHART), "--wait", "--timeout=10m", values=values)

    def rollback(self) -> str:
        """Go back to the revision before. Raises HelmError."""
        return self.run("rollback", self.release, "--wait", "--timeout=10m")

    def test(self) -> str:
        """Run the chart's own tests; return what they printed. Raises HelmError."""
        return self.run("test", self.release, "--logs", "--timeout=5m")

    def uninstall(self) -> str:
        """Take the release away; what is to be kept stays. Raises HelmError."""
        return self.run("uninstall", self.release, "--wait", "--ignore-not-found", "--timeout=5m")

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Run helm in the folder and return what it printed. Raises HelmError."""
        command = [str(parts.parts("helm").binary("helm")), *arguments, f"--namespace={self.namespace}"]
        if values is not None:
            file = self.folder / "values.json"
            file.write_text(json.dumps(values))
            command.append(f"--values={file}")
        environment = {**os.environ, **{f"HELM_{kind}_HOME": str(self.folder) for kind in ("CACHE", "CONFIG", "DATA")}}
        if self.kubeconfig is not None:
            environment["KUBECONFIG"] = str(self.kubeconfig)
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HelmError(f"{done.stdout}{done.stderr}")
        return done.stdout


def documented(helm: Helm, name: str) -> str:
    """Return what a manifest of the documentation must say: its own words up to RENDERED, then what the chart renders."""
    own, _, _ = (DOCS / name).read_text().partition(RENDERED)
    rendered = helm.template(DOCUMENTED, *(f"--show-only=templates/{each}.yaml" for each in TEMPLATES[name]))
    lines = [line for line in rendered.splitlines() if not line.strip().startswith(OF_A_RELEASE)]
    kept = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if not _is_empty_mapping(line, after)]
    return own + "\n".join([RENDERED, *kept[kept.index("---") + 1 :], ""])


def _is_empty_mapping(line: str, after: str) -> bool:
    """Return whether all annotations below this line were helm's."""
    indent = len(line) - len(line.lstrip())
    return line.strip() == "annotations:" and len(after) - len(after.lstrip()) <= indent


def schema() -> str:
    """Return what the schema of the chart's values must say: below `settings` each setting of the daemon by its name, with its type."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    settings = TypeAdapter(Settings).json_schema(by_alias=True)
    found["properties"]["settings"] = _of_a_value(settings, settings["$defs"])
    return json.dumps(found, indent=2) + "\n"


def _of_a_value(schema: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of what may be written for a setting, or for a section of them."""
    if "$ref" in schema:
        return _of_a_value(sections[schema["$ref"].rpartition("/")[2]], sections)
    if schema.get("format") == "duration":
        return {"type": "string", "pattern": DURATION}
    kept = {key: value for key, value in schema.items() if key in CONSTRAINTS}
    if "properties" in schema:
        kept["properties"] = {name: _of_a_value(each, sections) for name, each in schema["properties"].items()}
    if "anyOf" in schema:
        kept["anyOf"] = [_of_a_value(each, sections) for each in schema["anyOf"]]
    if schema.get("type") == "array":
        return {"anyOf": [kept, {"type": "string"}]}
    return kept


def main() -> int:
    """Write the schema of the chart's values, and the manifests of the documentation, anew."""
    SCHEMA.write_text(schema())
    reason = parts.obstacle("helm")
    if reason:
        print(f"docs/{', docs/'.join(TEMPLATES)} are left as they are: {reason}", file=sys.stderr)
        return 0
    for name in TEMPLATES:
        (DOCS / name).write_text(documented(Helm(folder=parts.home()), name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
