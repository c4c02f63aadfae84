"""Everything is caught only where one of many is contained, where a stranger is refused, and at the borders of a process, a thread or a task."""

import ast

from tests.unit.project.test_limits_of_the_code import is_broad
from tests.unit.project.tree import PACKAGE, modules

BORDERS = {
    "actions/reads.py": "a look whose library fails",
    "app/clock.py": "the scheduler would go on",
    "app/lifecycle.py": "one that cannot be closed keeps no other open",
    "commands/third_party.py": "a stranger's module is loaded",
    "kube/object_cache.py": "each change of each object: hands on to Containment",
    "ledger/group_committer.py": "raised at every caller who waits",
    "pipeline/run_supervisor.py": "one run's task",
    "server/ports.py": "a thread",
    "telemetry/containment.py": "the helper",
    "views/service_views.py": "each change of each object: hands on to Containment",
    "worker/__main__.py": "the process",
    "worker/restore.py": "what is dropped after a failure must not hide it",
}
"""The modules that may, each with its reason."""


def test_a_broad_except_stands_only_at_a_border() -> None:
    found = {
        each.name.removeprefix("daemon/kintsugi/")
        for each in modules(PACKAGE)
        for node in ast.walk(each.tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    }
    assert found - BORDERS.keys() == set()
