"""A worker's Job is judged by what is there, made once whoever makes it, and found again by its name (P2, P3, P8)."""

from dataclasses import replace
from typing import Any

import pytest

from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.commands import decode, render
from kintsugi.errors import Conflict, Forbidden, Refused
from kintsugi.model.command import Delete
from kintsugi.model.records import Phase
from kintsugi.settings import RestoreSettings
from kintsugi_restore.commands import BackupFetch, PgRestore
from kubeobjects.resources import JOBS, PVCS, SECRETS
from tests.unit.actions.changes import Cluster
from tests.unit.actions.samples import NAMESPACE
from tests.unit.actions.samples import pod as web_pod
from tests.unit.restore.worker_samples import (
    DRILL,
    FETCH,
    FETCH_JOB,
    RESTORE,
    RESTORE_JOB,
    ROOM,
    RUN,
    SETTINGS,
    around,
    database_pods,
    secret,
    service,
)


def cluster(settings: RestoreSettings = SETTINGS) -> Cluster:
    """Make a cluster with all that both steps need but the room."""
    return Cluster(
        secret("s3-reader", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        secret("database-credentials", "password"),
        secret("app-credentials", "password"),
        service(),
        settings=settings,
    )


async def with_room(settings: RestoreSettings = SETTINGS) -> Cluster:
    """Make a cluster in which a Job has fetched a backup into its room."""
    kube = cluster(settings)
    await kube.make(FETCH, **around())
    return kube


def spec_of(kube: Cluster, name: str = FETCH_JOB) -> dict[str, Any]:
    """Return a Job's pod."""
    spec: dict[str, Any] = kube.at(JOBS, name)["spec"]["template"]["spec"]
    return spec


async def test_the_job_runs_once_without_any_right_and_its_room_goes_with_it() -> None:
    """It cannot fill its node's disk: what it writes goes into the room; its log and /tmp have a limit."""
    kube = await with_room()
    job, claim = kube.at(JOBS, FETCH_JOB), kube.at(PVCS, ROOM)
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert spec["activeDeadlineSeconds"] == 12 * 3600
    assert spec["ttlSecondsAfterFinished"] == 7 * 24 * 3600
    pod = spec_of(kube)
    (worker,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert worker["securityContext"]["readOnlyRootFilesystem"] is True
    assert worker["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    owner = claim["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("Job", job["metadata"]["uid"])
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert job["metadata"]["labels"]["kintsugi.dev/step"] == "newest-0"
    (folder,) = [each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each]
    assert folder == {"sizeLimit": "64Mi"}
    assert worker["resources"]["limits"]["ephemeral-storage"] == "256Mi"
    assert worker["resources"]["requests"]["ephemeral-storage"] == "64Mi"


async def test_secrets_are_named_and_never_read_into_the_job() -> None:
    """S3's for the fetch, PostgreSQL's for the restore, what is neither for none of them."""
    kube = await with_room()
    (fetcher,) = spec_of(kube)["containers"]
    asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in fetcher["env"] if "valueFrom" in each}
    assert asked.keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert asked["AWS_SESSION_TOKEN"]["optional"] is True
    await kube.make(RESTORE, **around("restore"))
    (restorer,) = spec_of(kube, RESTORE_JOB)["containers"]
    asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in restorer["env"] if "valueFrom" in each}
    assert asked == {
        "PGPASSWORD": {"name": "database-credentials", "key": "password"},
        "PGPASSWORD_APP_RW": {"name": "app-credentials", "key": "password"},
    }
    assert {"name": "AWS_REGION", "value": "eu-1"} in fetcher["env"]
    assert not any("valueFrom" not in each and each["name"].startswith("PG") for each in restorer["env"])
    assert "initContainers" not in spec_of(kube, RESTORE_JOB), "only a drill's Job has a server"
    assert {each["name"] for each in spec_of(kube, RESTORE_JOB)["volumes"]} == {"backups", "tmp"}


async def test_the_worker_s_words_are_values_that_the_kubelet_puts_nothing_into() -> None:
    """P10: $(PGPASSWORD) in a key is text."""
    kube = cluster()
    fetch = replace(FETCH, url="s3://backup-bucket/$(AWS_SECRET_ACCESS_KEY)/", host="database.production", user="u")
    await kube.make(fetch, **around())
    assert spec_of(kube)["containers"][0]["args"] == [
        *("fetch", "s3://backup-bucket/$$(AWS_SECRET_ACCESS_KEY)/", "--into", "/backups", "--database", "app"),
        *("--server", "database.production", "--user", "u", "--max-age", "93600.000", "--within", "42336"),
        *("--volume-bytes", "21474836480", "--role", "app_rw"),
    ]
    await kube.make(replace(RESTORE, port=5433), **around("restore"))
    worker = spec_of(kube, RESTORE_JOB)["containers"][0]
    assert worker["args"] == [
        *("restore", "/backups/app.dump", "--host", "database.production", "--port", "5433"),
        *("--user", "postgres", "--database", "app", "--role", "app_rw"),
    ]
    assert worker["volumeMounts"][0] == {"name": "backups", "mountPath": "/backups", "readOnly": True}


async def drilled(kube: Cluster) -> dict[str, Any]:
    """Make the Job that restores for a drill, and give its template."""
    await kube.make(DRILL, **around("restore"))
    template: dict[str, Any] = kube.at(JOBS, RESTORE_JOB)["spec"]["template"]
    return template


async def test_a_drill_s_job_has_a_server_of_the_service_s_own_image_that_nobody_else_reaches() -> None:
    """E9: no password, no token, no capability; it listens on a socket in the pod, and its room has a limit."""
    kube = await with_room()
    for found in database_pods():
        kube.add(found)
    template = await drilled(kube)
    pod = template["spec"]
    made, server = pod["initContainers"]
    assert (made["name"], server["name"], server["restartPolicy"]) == ("initdb", "server", "Always")
    assert "restartPolicy" not in made
    assert {made["image"], server["image"]} == {"registry.example.com/postgres:16"}
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert "--auth-host=reject" in made["command"]
    assert server["command"][:3] == ["postgres", "--listen_addresses=", "--unix_socket_directories=/server/socket"]
    for each in (made, server):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("valueFrom" in variable for variable in each["env"])
        assert each["resources"]["requests"]["ephemeral-storage"] == "20Gi"
    assert pod["automountServiceAccountToken"] is False
    (worker,) = pod["containers"]
    assert not any("valueFrom" in variable for variable in worker["env"])
    assert worker["args"] == [
        *("restore", "/backups/app.dump", "--host", "/server/socket", "--user", "postgres"),
        *("--database", "kintsugi_drill_x", "--scratch", "--name", RUN, "--hold", "--role", "app_rw"),
    ]
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["server-data"]["emptyDir"] == {"sizeLimit": "20Gi"}
    assert template["metadata"]["annotations"]["kintsugi.dev/passwd"].startswith("postgres:x:65532:65532:")
    assert {each["name"] for each in worker["volumeMounts"]} == {"backups", "tmp", "server-socket"}


async def test_the_server_s_image_may_be_named_and_nothing_live_is_looked_at_then() -> None:
    """Where the service's own image has no PostgreSQL in it, or a service has no pod now."""
    settings = replace(
        SETTINGS,
        service_account_name="backup-reader",
        drill_image="postgres:16-own",
        drill_ephemeral_storage="3Gi",
        drill_memory="2Gi",
    )
    kube = await with_room(settings)
    pod = (await drilled(kube))["spec"]
    assert {each["image"] for each in pod["initContainers"]} == {"postgres:16-own"}
    assert {each["resources"]["limits"]["memory"] for each in pod["initContainers"]} == {"2Gi"}
    assert "imagePullSecrets" not in pod
    assert "serviceAccountName" not in pod, "a cloud gives its identity to every container of the pod"
    assert spec_of(kube)["serviceAccountName"] == "backup-reader"


@pytest.mark.parametrize("ready", [None, "False"])
async def test_without_a_pod_whose_image_is_known_no_drill_is_begun(ready: str | None) -> None:
    """And it is said which setting names one."""
    kube = await with_room()
    for found in database_pods(ready=ready) if ready else ():
        kube.add(found)
    with pytest.raises(Refused, match=r"its image is unknown: set restore\.drillImage"):
        await drilled(kube)


async def test_a_job_that_is_there_already_is_taken_up_and_none_is_made() -> None:
    """P2: whoever made it."""
    kube = await with_room()
    before = list(kube.writes)
    again = await kube.plan(FETCH, **around())
    assert again.already
    await kube.actions.apply(again)
    assert kube.writes == before


async def test_two_that_make_it_at_once_make_one() -> None:
    """P4: a predecessor's create may arrive after the successor's judgement."""
    kube = cluster()
    first, second = await kube.plan(FETCH, **around()), await kube.plan(FETCH, **around())
    await kube.actions.apply(first)
    await kube.actions.apply(second)
    assert [what for what, name, _ in kube.writes if name.startswith("job/")] == ["create"]
    assert [what for what, name, _ in kube.writes if name.startswith("persistent")] == ["create"]


async def test_an_answer_that_was_lost_is_found_by_the_name() -> None:
    kube = cluster()
    prepared = await kube.plan(FETCH, **around())
    assert await kube.actions.probe(prepared) is EffectStatus.NOT_DONE
    await kube.lose(prepared)
    assert await kube.actions.probe(prepared) is EffectStatus.NOT_DONE, "the Job is there and its claim is not"
    rest = await kube.plan(FETCH, **around())
    assert rest.write is not None
    assert not rest.already
    await kube.actions.apply(rest)
    assert await kube.actions.probe(prepared) is EffectStatus.DONE
    assert kube.at(PVCS, ROOM)["metadata"]["ownerReferences"][0]["uid"] == kube.at(JOBS, FETCH_JOB)["metadata"]["uid"]


async def test_a_job_of_somebody_else_by_that_name_is_left_alone() -> None:
    kube = cluster()
    kube.put(JOBS, {"metadata": {"name": FETCH_JOB, "namespace": NAMESPACE, "uid": "u", "labels": {}}})
    assert "its name is taken" in await kube.refusal(FETCH, **around())
    prepared = await cluster().plan(FETCH, **around())
    assert await kube.actions.probe(prepared) is EffectStatus.UNKNOWN
    with pytest.raises(Conflict):
        await kube.actions.apply(prepared)


async def test_a_job_whose_claim_is_refused_is_taken_away_again() -> None:
    """A quota, for instance: it could never start."""
    kube = cluster()
    kube.refused[PVCS] = Forbidden("exceeded quota: storage", status=403)
    prepared = await kube.plan(FETCH, **around())
    with pytest.raises(Forbidden, match="exceeded quota"):
        await kube.actions.apply(prepared)
    assert [what for what, _, _ in kube.writes] == ["create", "delete"]


MISSING = [
    (RestoreSettings(), FETCH, "restore.image is not set"),
    (
        replace(SETTINGS, existing_claim="backups"),
        FETCH,
        "persistentvolumeclaim/backups does not exist in production: restore.existingClaim",
    ),
    (SETTINGS, RESTORE, "the backup that was fetched into it is lost"),
    (SETTINGS, replace(FETCH, namespace="other"), "other is not the namespace of database"),
    (SETTINGS, replace(RESTORE, host="database.other"), "other is not the namespace of database"),
    (SETTINGS, replace(RESTORE, host="databse.production"), "there is no service/databse in production"),
]


@pytest.mark.parametrize(("settings", "command", "why"), MISSING, ids=[why for *_, why in MISSING])
async def test_a_missing_setting_or_object_is_told_before_a_job_is_made(
    settings: RestoreSettings, command: BackupFetch | PgRestore, why: str
) -> None:
    assert why in await cluster(settings).refusal(command, **around())


async def test_a_secret_that_is_missing_is_said_where_secrets_may_be_read() -> None:
    kube = await with_room()
    del kube.objects[SECRETS, NAMESPACE, "app-credentials"]
    missing = "PGPASSWORD_APP_RW comes from secret/app-credentials, which does not exist"
    assert missing in await kube.refusal(RESTORE, **around("restore"))
    kube.add(secret("app-credentials", "user"))
    assert "which has no key 'password'" in await kube.refusal(RESTORE, **around("restore"))


async def test_our_own_ledger_s_database_is_never_a_target() -> None:
    """P8, by its name or by its address."""
    kube = await with_room()
    for host in ("database.production.svc.cluster.local", "database.production", "10.0.0.7"):
        assert "Kintsugi's own ledger" in await kube.refusal(RESTORE, **around("restore", ledger_host=host))
    assert await kube.refusal(RESTORE, **around("restore", ledger_host="ledger.kintsugi")) == ""


async def test_a_host_that_leads_to_another_service_s_pods_is_refused() -> None:
    kube = await with_room()
    kube.add(service(app="web"))
    kube.add(web_pod())
    why = "does not lead to the service's own pods: pod/web-1 is not one of the pods of database"
    assert why in await kube.refusal(RESTORE, **around("restore"))


async def test_names_of_steps_never_meet() -> None:
    kube = cluster()
    paths = ["a/b#0", "a-b#0", "a_b#0", "newest#0r1", "each[0]#0", "each[1]#0", f"{'long' * 20}#0", f"{'long' * 21}#0"]
    found = [(await kube.plan(FETCH, **around(path=path))).facts["job"] for path in paths]
    found.append((await kube.plan(FETCH, **around(phase=Phase.ROLLBACK))).facts["job"])
    assert len(set(found)) == len(found)
    assert all(len(str(name)) <= 57 for name in found), found


async def test_a_worker_is_taken_back_by_ending_it_and_what_it_said_is_kept() -> None:
    kube = cluster()
    prepared = await kube.make(FETCH, **around())
    assert prepared.undo.texts == (f"kubectl delete job {FETCH_JOB} -n production",)
    (command,) = map(decode, prepared.undo.commands)
    assert isinstance(command, Delete)
    other = around(run="run-other00000000000000", phase=Phase.UNDO)
    assert "is not of this run" in await kube.refusal(command, **other)
    end = await kube.plan(command, **around(phase=Phase.UNDO))
    assert end.facts["uid"] == kube.at(JOBS, FETCH_JOB)["metadata"]["uid"]
    await kube.actions.apply(end)
    assert await kube.actions.probe(end) is EffectStatus.DONE
    assert render(end.command) == prepared.undo.texts[0]
