"""
What becomes of a worker's Job, told alike on the embedded and on the real cluster: a stand-in for its image, and stories.

The stand-in is a shell script in place of Python; what it is to do stands in the URL or the file that it is given.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_hex
from typing import Any

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command
from kintsugi.model.records import Phase
from kintsugi.model.services import SecretRef, WorkloadRef
from kintsugi.settings import RestoreSettings, S3Settings
from kubeobjects.resources import JOBS, PODS, PVCS, STATEFULSETS, Resource
from tests.harness.waiting import eventually

IMAGE = "kintsugi:stand-in"
SETTINGS = RestoreSettings(image=IMAGE, volume_size="1Gi", cpu="10m", memory="32Mi", start_timeout=timedelta(minutes=5))
TIMEOUT = 120.0
"""Seconds that a worker of a few lines may take on a busy machine."""

NO_GOOD = "no backup below s3://backup-bucket/failing/ is good"
BACKUP = {
    "url": "s3://backup-bucket/good/app.dump",
    "file": "/backups/app.dump",
    "key": "good/app.dump",
    "size": 2,
    "taken": "2026-05-04T02:14:07Z",
    "sha256": "ab" * 32,
    "proven": True,
    "database": "app",
    "server_major": 16,
    "skipped": [{"url": "s3://backup-bucket/good/newer.dump", "reason": 'it\'s "cut" off'}],
}
RESTORED = {"database": "app", "bytes": 2, "seconds": 1.0, "tables": [{"name": "public.orders", "rows": 1000}]}
MANY = 400
"""Lines of progress: more than are read of a log that still grows."""

_SCRIPT = """\
#!/bin/sh
echo 'a warning of the runtime'
echo '{begun}'
number=0
while [ $number -lt {many} ]; do
  number=$((number + 1))
  echo '{{"progress": {{"phase": "reading", "bytes": '$number', "of": {many}, "what": "it"}}}}'
done
case "$3 $4" in
  *failing*) echo '{failed}'; exit 1;;
  *silent*) exit 1;;
  fetch*) echo '{backup}';;
  restore*) echo '{restored}';;
esac
"""


def script() -> str:
    """Write the stand-in."""
    lines = {
        "begun": {"note": "it has begun"},
        "failed": {"failed": {"kind": "no-good-backup", "reason": NO_GOOD}},
        "backup": {"backup": BACKUP},
        "restored": {"restored": RESTORED},
    }
    quoted = {name: json.dumps(line).replace("'", "'\\''") for name, line in lines.items()}
    return _SCRIPT.format(many=MANY, **quoted)


@dataclass(frozen=True, kw_only=True)
class StoryNamespace:
    """Where a story is told: a client with the rights of the daemon, a namespace, and what makes a volume for a claim."""

    kube: KubeClient
    namespace: str
    volume_for: Callable[[str], None] = field(default=lambda _: None)

    def actions(self, settings: RestoreSettings = SETTINGS) -> Actions:
        """Make the actions."""
        return Actions(self.kube, Clients.restricted_to(AddressRule(allow_loopback=True)), settings)

    def around(self, run: str, step: str, **changes: Any) -> ChangeContext:
        """Make the context of a step of a run."""
        usual = ChangeContext(
            incident="inc-1",
            run=run,
            path=f"{step}#0",
            now=datetime.now(UTC),
            service="database",
            namespace=self.namespace,
            workload=WorkloadRef(resource=STATEFULSETS, name="database"),
            env={"PGPASSWORD": SecretRef(secret="database-credentials", key="password")},
        )
        return replace(usual, **changes)

    def fetch(self, what: str) -> Command:
        """Make the command that fetches."""
        url = f"s3://backup-bucket/{what}/"
        return decode({"command": "BackupFetch", "url": url, "database": "app", "namespace": self.namespace})

    def restore(self, what: str) -> Command:
        """Make the command that restores."""
        words = {"file": f"/backups/{what}.dump", "user": "postgres", "database": "app"}
        return decode({"command": "PgRestore", "host": f"database.{self.namespace}", **words})

    async def made(self, command: Command, around: ChangeContext, settings: RestoreSettings = SETTINGS) -> EffectPlan:
        """Make a worker's Job."""
        does = self.actions(settings)
        prepared = await does.plan_effect(command, around)
        if (claim := str(prepared.facts["claim"])) and settings.storage_class_name is None:
            self.volume_for(claim)
        await does.apply(prepared)
        return prepared

    async def until(self, prepared: EffectPlan, run: str, holds: Callable[[JobState], bool]) -> JobState:
        """Watch a worker until it stands so."""
        seen: list[JobState] = []

        async def look() -> JobState | None:
            seen[:] = [await self.actions().watch(prepared, self.around(run, "newest"))]
            return seen[0] if holds(seen[0]) else None

        return await eventually(look, within=TIMEOUT, describe=lambda: seen)

    async def ended(self, prepared: EffectPlan, run: str) -> JobState:
        """Watch a worker to its end."""
        return await self.until(
            prepared, run, lambda standing: standing.stage not in (JobStage.STARTING, JobStage.RUNNING)
        )

    async def is_gone(self, resource: Resource, name: str) -> bool:
        """Return whether an object is gone."""
        try:
            await self.kube.get(resource, name, self.namespace)
        except NotFound:
            return True
        return False


def new_run() -> str:
    """Name a run that nobody has told yet."""
    return f"run-000000000{token_hex(5)}"


async def a_backup_is_fetched_and_restored(place: StoryNamespace) -> None:
    """Both Jobs share the room; a second maker makes none; their end takes pods and room away."""
    run = new_run()
    fetch = await place.made(place.fetch("good"), place.around(run, "newest"))
    fetched = await place.ended(fetch, run)
    assert fetched.stage is JobStage.DONE, fetched
    assert fetched.names["backup"] == {
        **BACKUP,
        "taken": datetime(2026, 5, 4, 2, 14, 7, tzinfo=UTC),
        "roles": [],
        "extensions": [],
        "age_seconds": 0.0,
    }
    assert fetched.names["done"] == {"phase": "reading", "bytes": MANY, "of": MANY, "what": "it"}
    assert fetched.names["notes"] == ["it has begun"], fetched.names["notes"]
    assert (await place.actions().plan_effect(place.fetch("good"), place.around(run, "newest"))).already
    assert await place.actions().probe(replace(fetch, write=None)) is EffectStatus.DONE

    restore = await place.made(place.restore("good"), place.around(run, "restore"))
    restored = await place.ended(restore, run)
    assert (restored.stage, restored.names["restored"]) == (JobStage.DONE, RESTORED), restored

    claim = str(fetch.facts["claim"])
    assert not await place.is_gone(PVCS, claim)
    for prepared in (restore, fetch):
        (end,) = map(decode, prepared.undo.commands)
        does = place.actions()
        await does.apply(await does.plan_effect(end, place.around(run, "newest", phase=Phase.UNDO)))

    async def nothing_is_left() -> bool:
        jobs = [await place.is_gone(JOBS, str(each.facts["job"])) for each in (fetch, restore)]
        pods = (await place.kube.list(PODS, place.namespace, labels=f"kintsugi.dev/run={run}")).items
        return all(jobs) and not pods and await place.is_gone(PVCS, claim)

    await eventually(nothing_is_left, within=TIMEOUT)


async def a_failure_is_told_in_the_worker_s_words(place: StoryNamespace) -> None:
    """Its last line is read though its container is gone."""
    run = new_run()
    standing = await place.ended(await place.made(place.fetch("failing"), place.around(run, "newest")), run)
    assert (standing.stage, standing.why) == (JobStage.FAILED, NO_GOOD)


async def of_a_restore_that_ended_in_silence_nobody_knows(place: StoryNamespace) -> None:
    """P3: the database of this story is not there to be asked."""
    run = new_run()
    await place.ended(await place.made(place.fetch("good"), place.around(run, "newest")), run)
    standing = await place.ended(await place.made(place.restore("silent"), place.around(run, "restore")), run)
    assert standing.stage is JobStage.LOST
    told = (
        r"has ended without the worker's last line \(Job has reached the specified backoff limit; Error; exit code 1\)"
    )
    assert re.search(told, standing.why), standing.why
    assert "the database cannot be asked" in standing.why


def says(why: str, seen: JobState) -> bool:
    """Return whether what keeps a worker from its start is told."""
    return re.search(why, seen.why) is not None


async def a_worker_that_does_not_start_says_why(place: StoryNamespace) -> None:
    """A Secret that is not there, an image that is not there, a room that finds no volume."""
    s3 = S3Settings(credentials="no-such-secret")
    hindrances: list[tuple[RestoreSettings, str]] = [
        (replace(SETTINGS, s3=s3), 'CreateContainerConfigError: secret "no-such-secret" not found'),
        (replace(SETTINGS, image="kintsugi:missing"), r"(ErrImagePull|ImagePullBackOff)(: .+)?; (Failed|BackOff): .+"),
        (
            replace(SETTINGS, storage_class_name="no-such-class"),
            "Unschedulable: .*pod has unbound immediate Persistent",
        ),
    ]
    for settings, why in hindrances:
        run = new_run()
        prepared = await place.made(place.fetch("good"), place.around(run, "newest"), settings)
        standing = await place.until(prepared, run, partial(says, why))
        assert standing.stage is JobStage.STARTING
        late = place.around(run, "newest", now=datetime.now(UTC) + timedelta(minutes=6))
        assert (await place.actions(settings).watch(prepared, late)).stage is JobStage.STUCK


Story = Callable[[StoryNamespace], Awaitable[None]]
STORIES: tuple[Story, ...] = (
    a_backup_is_fetched_and_restored,
    a_failure_is_told_in_the_worker_s_words,
    of_a_restore_that_ended_in_silence_nobody_knows,
    a_worker_that_does_not_start_says_why,
)
