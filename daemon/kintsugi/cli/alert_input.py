"""Alerts in a file, in whatever form they were copied: one alert, a list of them, or a webhook's whole body."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kintsugi.errors import UsageError

_MOST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertInput:
    """The parts of an alert that `explain` needs."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(self.labels.items()) if name != "alertname")
        return f"alert {self.labels.get('alertname', '?')}" + (f" ({labels})" if labels else "")


def read_alerts(file: Path) -> tuple[AlertInput, ...]:
    """Read alerts from a file, or from stdin for `-`. Raises UsageError."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506  it makes texts, lists and mappings only
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--alert: {file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--alert: {file} is not valid YAML or JSON: {' '.join(str(error).split())}") from error
    alerts = tuple(_alerts(content, str(file)))
    if not 0 < len(alerts) <= _MOST:
        raise UsageError(f"--alert: {file} contains {len(alerts)} alerts; the file must contain 1 to {_MOST}")
    return alerts


def _alerts(content: object, where: str) -> Iterator[AlertInput]:
    match content:
        case {"alerts": list() as alerts} | (list() as alerts):
            for number, each in enumerate(alerts):
                yield from _alerts(each, f"{where}: alert {number + 1}")
        case {"labels": dict() as labels, "annotations": dict() as annotations}:
            yield AlertInput(labels=_texts(labels), annotations=_texts(annotations))
        case {"labels": dict() as labels}:
            yield AlertInput(labels=_texts(labels))
        case _:
            raise UsageError(
                f"--alert: {where} is not an alert: write `labels:` with the labels below it, or give a webhook's body"
            )


def _texts(values: Mapping[object, object]) -> dict[str, str]:
    """Take values as they were typed: the loader leaves `yes` and `8080` alone."""
    return {str(name): str(value) for name, value in values.items()}
