"""A no that is said while the daemon is dead, on the real cluster: the pod that it was about to delete lives on."""

import asyncio
from datetime import UTC, datetime

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Pause, PauseScope
from kubeobjects.predicates import CRASH_LOOP_RESTARTS
from tests.cluster.conftest import StartDaemon
from tests.cluster.crashes import is_dead
from tests.cluster.story import ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.crash_points import KILL_AT
from tests.harness.faults import Faults

BEFORE_THE_DELETION = "before effect restart[]#0 1"


async def freeze(ledger: str) -> None:
    """Write a freeze into the ledger of a daemon that is dead."""
    async with Ledger.open(ledger, holder="ada") as opened:
        now = datetime.now(UTC)
        await opened.people.pause(
            Pause(id="pau-1", scope=PauseScope.GLOBAL, who="ada", why="no", freeze=True, since=now)
        )


@pytest.mark.parametrize("no", ["observe", pytest.param("a freeze", marks=pytest.mark.heart)])
def test_killed_between_intent_and_effect_it_deletes_nothing_once_it_was_told_no(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon, no: str
) -> None:
    """C1, E29: the intent of the life before passes the gate of this one; the witness is the API server's audit log."""
    story = ClusterStory(cluster, production, daemon(durations=0.05, environment={KILL_AT: BEFORE_THE_DELETION}))
    victim = story.begin().pods()[0]
    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    story.within(120).sees("the daemon has died with an intent", lambda: is_dead(story))
    story.within(60).sees("it crash-loops still", lambda: story.is_held_back(victim, restarts=CRASH_LOOP_RESTARTS))

    if no == "observe":
        story.daemon.mode = "observe"
    else:
        asyncio.run(freeze(story.daemon.ledger))
    story.at("it is started again", lambda: story.daemon.start({KILL_AT: ""}))

    incident = story.within(60).closes()
    assert incident["state"] == "cancelled", story.state()
    words = "mode is observe" if no == "observe" else "frozen by ada: no"
    assert words in incident["reason"]
    story.stays(lambda: victim["metadata"]["uid"] in story.uids(), seconds=5, describe=story.state)
    assert story.deleted_by_daemon() == []
