"""
Results as expressions see them: their fields in CEL's own camelCase.

Actions, workers and the ledger name the fields of a result as Python does; only here, where an expression reads them,
they get the names that `commands.results` and the row of a verb list. A kept result is read by later versions.
"""

from collections.abc import Mapping

OUTPUT = {"exit_code": "exitCode"}
BACKUP = {"server_major": "serverMajor", "age_seconds": "ageSeconds"}
USE = {
    "cpu_millicores": "cpuMillicores",
    "memory_bytes": "memoryBytes",
    "cpu_percent": "cpuPercent",
    "memory_percent": "memoryPercent",
}
"""The fields of a program's output, of a backup, and of what a pod or a node uses: as they are kept, and as they are read."""


def shown_result(result: Mapping[str, object]) -> Mapping[str, object]:
    """Return a result with the names of its fields as an expression reads them; what is named so already stays."""
    return {OUTPUT.get(name, name): _shown(name, value) for name, value in result.items()}


def _shown(name: str, value: object) -> object:
    match value:
        case dict() if name == "backup":
            return _renamed(value, BACKUP)
        case [dict() as first, *_] if first.keys() >= USE.keys():
            return [_renamed(each, USE) if isinstance(each, dict) else each for each in value]
        case _:
            return value


def _renamed(value: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(name, name): inner for name, inner in value.items()}
