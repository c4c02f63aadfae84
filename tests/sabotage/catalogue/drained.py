"""What a drain refuses."""

from collections.abc import Sequence

from tests.sabotage.sabotage import Edit, Sabotage

SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        takes_out="a drain refuses what kubectl refuses, before the node is cordoned",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/drain.py",
                old="        preconditions.check(*_objections(pods, command))\n",
                new="        preconditions.check(*_objections((), command))\n",
            ),
        ),
        tests="unit/actions/test_drain.py",
        red=("test_a_drain_that_kubectl_refuses_changes_nothing",),
    ),
    Sabotage(
        takes_out="the last node that takes pods is not drained",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/drain.py",
                old="        preconditions.check(preconditions.last_node(loaded.asked, any(take)))\n",
                new="        preconditions.last_node(loaded.asked, any(take))\n",
            ),
        ),
        tests="unit/actions/test_drain.py",
        red=("test_the_last_node_that_takes_pods_is_not_drained",),
    ),
    Sabotage(
        takes_out="a pod that would not come back elsewhere is not evicted",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/eviction.py",
                old="        preconditions.check(without_successor(asked, pod), _stays(asked, pod))\n",
                new="        preconditions.check(*(_stays(asked, pod) for _ in ()))\n",
            ),
        ),
        tests="unit/actions/test_evict.py",
        red=("test_a_pod_that_would_not_come_back_elsewhere_is_not_evicted",),
    ),
    Sabotage(
        takes_out="a drain is compared with what other rules have done by the cordon that it begins with",
        red_at="c04aa7b9a7",
        edits=(
            Edit(
                file="verbs/drain.py",
                old="        return Cordon(objects=(command.object,), on=True)\n",
                new="        return command\n",
            ),
        ),
        tests="unit/opposition/test_two_rules_that_undo_each_other.py",
        red=("test_a_drain_opposes_an_uncordon_by_the_cordon_that_it_begins_with",),
    ),
)
