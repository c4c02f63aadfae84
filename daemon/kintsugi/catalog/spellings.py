"""
The spelling of documents before they followed the Kubernetes API conventions, and today's word for each word.

`respell` reads it to suggest today's words, and to rewrite files.
"""

from collections.abc import Mapping

from kintsugi.scope.result_names import BACKUP, OUTPUT, USE

KEYS: Mapping[str, Mapping[str, str]] = {
    "Service": {
        "depends_on": "dependsOn",
        "when_upstream_fails": "onUpstreamFailure",
        "sql_functions": "sqlFunctions",
        "with": "parameters",
    },
    "Rule": {"match": "matchers"},
    "parameter": {"help": "description"},
    "step": {
        "for_each": "forEach",
        "at_once": "maxParallel",
        "together": "parallel",
        "unmet": "onFailure",
        "revert": "undoStep",
        "remember": "count",
        "retry": "retries",
    },
    "rollback": {"when": "policy", "loses": "dataLossCheck"},
}
"""The keys of each part of a document, old and new."""

VALUES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("Service", "onUpstreamFailure"): {"try": "proceed"},
    ("step", "onFailure"): {"hand-over": "escalate"},
    ("rollback", "then"): {"park": "leave"},
}
"""The words that are used under a key (by its new name), old and new."""

PARTS: Mapping[tuple[str, str], str] = {
    ("Service", "checks"): "step",
    ("Runbook", "steps"): "step",
    ("Runbook", "parameters"): "parameter",
    ("Runbook", "rollback"): "rollback",
    ("step", "steps"): "step",
    ("step", "parallel"): "step",
    ("step", "undo"): "step",
    ("rollback", "steps"): "step",
}
"""The kind of part under a key (by its new name), and its form: alone, in a list, or in a map by names."""

BY_NAME = {("Service", "checks"), ("Runbook", "parameters")}
"""The keys of `PARTS` under which each name has a part, or a list of them, of its own."""

FUNCTIONS: Mapping[str, str] = {
    "status_of": "statusOf",
    "crash_looping": "crashLooping",
    "image_failing": "imageFailing",
    "last_good": "lastGood",
    "over_three_starts": "overThreeStarts",
}
"""The functions of expressions, old and new."""

FIELDS: Mapping[str, str] = {
    "met": "passed",
    "depends_on": "dependsOn",
    "healthy_since": "healthySince",
    "failing_since": "failingSince",
    "last_restart": "lastRestart",
    "cluster_ip": "clusterIP",
    **OUTPUT,
    **BACKUP,
    **USE,
}
"""The fields of services, steps and results in expressions, old and new."""
