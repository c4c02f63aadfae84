"""
The catalog of parcels: what `kintsugi init` writes for its workloads, and by hand what that leaves open, as docs/faults.md says.
"""

import re
from pathlib import Path

from tests.faults import page
from tests.harness.daemon import command
from tests.harness.parcels import PARCELS

_DERIVED = re.compile(r"  # (dependsOn|rules): [^\n]*\n")
_LASTING = "  rules: {does-not-answer: {for: 5m, cooldown: 10m}}\n"
_CHECK = """\
        run: "curl http://{service}.{namespace}/{place}"
        expect: status == 200
"""
_CEILINGS = {"pricing": "maxAllowed: {memory: 256Mi}"}
"""How far a service lets be raised what it has, by its name."""
_TIMEOUT = "        timeout: 60s\n"
_BY_HTTPS = """\
    https:
      - id: answer
        run: curl https://{service}.{namespace}/
        expect: status == 200
        timeout: 60s
"""
_RULE = """\
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {service}-by-https}}
spec:
  on: check
  service: {service}
  check: https
  every: 30s
  for: 5m
  mode: auto
  cooldown: 10m
"""


def write(kubeconfig: Path, folder: Path) -> Path:
    """Write the catalog into a folder, and return that. The workloads are there."""
    found = {name: each for name, each in page.workloads().items() if name in page.services_of(PARCELS)}
    done = command("init", folder, "-n", PARCELS, *found.values(), environment={"KUBECONFIG": str(kubeconfig)})
    assert done.code == 0, done
    for service in found:
        file = folder / f"{service}.yaml"
        file.write_text(completed(file.read_text(), service))
    return folder


def completed(text: str, service: str) -> str:
    """Return the document of a service with what it depends on, its checks and their rules."""
    ports, needed = page.services_of(PARCELS)[service], ", ".join(page.upstreams()[service])
    said = f"  dependsOn: [{needed}]\n{_LASTING if ports else ''}"
    if service in _CEILINGS:
        said += f"  {_CEILINGS[service]}\n"
    text = _replaced(text, "".join(each.group() for each in _DERIVED.finditer(text)), said)
    if not ports:
        return text
    asked, asks = (_CHECK.format(service=service, namespace=PARCELS, place=each) for each in ("ready", ""))
    more = _BY_HTTPS.format(service=service, namespace=PARCELS) if ":443" in ports else ""
    text = _replaced(text, asked, f"{asks}{_TIMEOUT}{more}")
    return text + (_RULE.format(service=service) if more else "")


def _replaced(text: str, old: str, new: str) -> str:
    """Return a text with what stands in it once replaced."""
    assert text.count(old) == 1, (old, text)
    return text.replace(old, new)
