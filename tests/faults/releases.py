"""A release of Helm for a workload of an application: a chart with one value, the tag of its image."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.harness.api import Object
from tests.harness.images import PARCEL_GOOD
from tests.harness.registry import served


def chart(folder: Path, objects: Sequence[Object]) -> Path:
    """Write a chart of these objects and return its folder."""
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": folder.name, "version": "0.1.0"}))
    image = served(PARCEL_GOOD)
    name, _, tag = image.rpartition(":")
    (folder / "values.yaml").write_text(json.dumps({"tag": tag}))
    texts = (json.dumps(each).replace(f'"{image}"', f'"{name}:{{{{ .Values.tag }}}}"') for each in objects)
    (folder / "templates" / "objects.yaml").write_text("\n---\n".join(texts))
    return folder
