"""`python -m tests.structure` counts the modules of a way through the code, and how often it comes back to one."""

from tests.structure.visits import visits

WAY = (
    "executor.py:A.a",
    "model/records.py:R.b",
    "executor.py:A.c",
    "actions/x.py:x",
    "executor.py:A.d",
    "kube/client.py:C.get",
)


def test_a_way_counts_each_module_once_and_each_coming_back() -> None:
    """What stands everywhere (the model) is left out, and interrupts no stay."""
    way = visits(WAY)
    assert way.stays == ["executor.py", "actions/x.py", "executor.py", "kube/client.py"]
    assert (way.modules, way.returns) == (3, 1)


def test_a_way_within_some_folders_leaves_the_others_out() -> None:
    """A step is looked at in the runner alone."""
    assert visits(WAY, within=("executor.py", "actions/")).stays == ["executor.py", "actions/x.py", "executor.py"]
    assert visits(WAY, within=("runner/",)).returns == 0
