"""A worker's Job is judged by what is there, made once whoever makes it, and found again by its name (P2, P3, P8)."""

from dataclasses import replace
from typing import Any

import pytest

from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.commands import decode, render
from kintsugi.errors import Conflict, Forbidden, OutcomeUnknown, Refused
from kintsugi.model.command import BackupFetch, Delete, PgRestore
from kintsugi.model.records import Phase
from kintsugi.settings import RestoreSettings
from kubeobjects.resources import JOBS, PODS, PVCS, SECRETS, SERVICES
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE
from tests.unit.actions.samples import pod as web_pod
from tests.unit.actions.worker_samples import (
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
    doing,
    secret,
    service,
)


def cluster() -> ClusterOfDicts:
    """Make a cluster with all that both steps need but the room."""
    return ClusterOfDicts(
        (SECRETS, secret("s3-reader", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (SECRETS, secret("database-credentials", "password")),
        (SECRETS, secret("app-credentials", "password")),
        (SERVICES, service()),
    )


async def fetched(kube: ClusterOfDicts, settings: RestoreSettings = SETTINGS) -> EffectPlan:
    """Make the Job that fetches."""
    prepared = await doing(kube, settings).plan_effect(FETCH, around())
    await doing(kube, settings).apply(prepared)
    return prepared


def spec_of(kube: ClusterOfDicts, name: str = FETCH_JOB) -> dict[str, Any]:
    """Return a Job's pod."""
    spec: dict[str, Any] = kube.at(JOBS, name)["spec"]["template"]["spec"]
    return spec


async def test_the_job_runs_once_without_any_right_and_its_room_goes_with_it() -> None:
    kube = cluster()
    await fetched(kube)
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


async def test_a_worker_cannot_fill_its_node_s_disk() -> None:
    """What it writes goes into the room; for its log and for /tmp there is a limit, as the daemon has it."""
    kube = cluster()
    await fetched(kube)
    (worker,) = spec_of(kube)["containers"]
    (folder,) = [each["emptyDir"] for each in spec_of(kube)["volumes"] if "emptyDir" in each]
    assert folder == {"sizeLimit": "64Mi"}
    assert worker["resources"]["limits"]["ephemeral-storage"] == "256Mi"
    assert worker["resources"]["requests"]["ephemeral-storage"] == "64Mi"


async def test_secrets_are_named_and_never_read_into_the_job() -> None:
    """S3's for the fetch, PostgreSQL's for the restore, what is neither for none of them."""
    kube = cluster()
    await fetched(kube)
    (fetcher,) = spec_of(kube)["containers"]
    asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in fetcher["env"] if "valueFrom" in each}
    assert asked.keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert asked["AWS_SESSION_TOKEN"]["optional"] is True
    does = doing(kube)
    await does.apply(await does.plan_effect(RESTORE, around("restore")))
    (restorer,) = spec_of(kube, RESTORE_JOB)["containers"]
    asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in restorer["env"] if "valueFrom" in each}
    assert asked == {
        "PGPASSWORD": {"name": "database-credentials", "key": "password"},
        "PGPASSWORD_APP_RW": {"name": "app-credentials", "key": "password"},
    }
    assert {"name": "AWS_REGION", "value": "eu-1"} in fetcher["env"]
    assert not any("valueFrom" not in each and each["name"].startswith("PG") for each in restorer["env"])


async def test_the_worker_s_words_are_values_that_the_kubelet_puts_nothing_into() -> None:
    """P10: $(PGPASSWORD) in a key is text."""
    kube = cluster()
    fetch = replace(FETCH, url="s3://backup-bucket/$(AWS_SECRET_ACCESS_KEY)/", host="database.production", user="u")
    does = doing(kube)
    await does.apply(await does.plan_effect(fetch, around()))
    assert spec_of(kube)["containers"][0]["args"] == [
        *("fetch", "s3://backup-bucket/$$(AWS_SECRET_ACCESS_KEY)/", "--into", "/backups", "--database", "app"),
        *(
            "--server",
            "database.production",
            "--user",
            "u",
            "--max-age",
            "93600.000",
            "--within",
            "42336",
            "--volume-bytes",
            "21474836480",
        ),
        *("--role", "app_rw"),
    ]
    await does.apply(await does.plan_effect(replace(RESTORE, port=5433), around("restore")))
    worker = spec_of(kube, RESTORE_JOB)["containers"][0]
    assert worker["args"] == [
        *("restore", "/backups/app.dump", "--host", "database.production", "--port", "5433"),
        *("--user", "postgres", "--database", "app", "--role", "app_rw"),
    ]
    assert worker["volumeMounts"][0] == {"name": "backups", "mountPath": "/backups", "readOnly": True}


async def drilled(kube: ClusterOfDicts, settings: RestoreSettings = SETTINGS) -> dict[str, Any]:
    """Make the Job that restores for a drill, and give its template."""
    await fetched(kube, settings)
    does = doing(kube, settings)
    await does.apply(await does.plan_effect(DRILL, around("restore")))
    template: dict[str, Any] = kube.at(JOBS, RESTORE_JOB)["spec"]["template"]
    return template


async def test_a_drill_s_job_has_a_server_of_the_service_s_own_image_that_nobody_else_reaches() -> None:
    """E9: no password, no token, no capability; it listens on a socket in the pod, and its room has a limit."""
    kube = cluster()
    for found in database_pods():
        kube.put(*found)
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
    kube = cluster()
    settings = replace(
        SETTINGS,
        service_account_name="backup-reader",
        drill_image="postgres:16-own",
        drill_ephemeral_storage="3Gi",
        drill_memory="2Gi",
    )
    pod = (await drilled(kube, settings))["spec"]
    assert {each["image"] for each in pod["initContainers"]} == {"postgres:16-own"}
    assert {each["resources"]["limits"]["memory"] for each in pod["initContainers"]} == {"2Gi"}
    assert "imagePullSecrets" not in pod
    assert "serviceAccountName" not in pod, "a cloud gives its identity to every container of the pod"
    assert spec_of(kube)["serviceAccountName"] == "backup-reader"


@pytest.mark.parametrize("ready", [None, "False"])
async def test_without_a_pod_whose_image_is_known_no_drill_is_begun(ready: str | None) -> None:
    """And it is said which setting names one."""
    kube = cluster()
    for found in database_pods(ready=ready) if ready else ():
        kube.put(*found)
    with pytest.raises(Refused, match=r"its image is unknown: set restore\.drillImage"):
        await drilled(kube)


async def test_only_a_drill_s_job_has_a_server() -> None:
    """A real restore goes into the live one, with its password."""
    kube = cluster()
    await fetched(kube)
    does = doing(kube)
    await does.apply(await does.plan_effect(RESTORE, around("restore")))
    pod = spec_of(kube, RESTORE_JOB)
    assert "initContainers" not in pod
    assert {each["name"] for each in pod["volumes"]} == {"backups", "tmp"}


async def test_a_job_that_is_there_already_is_taken_up_and_none_is_made() -> None:
    """P2: whoever made it."""
    kube = cluster()
    await fetched(kube)
    before = list(kube.writes)
    again = await doing(kube).plan_effect(FETCH, around())
    assert again.already
    await doing(kube).apply(again)
    assert kube.writes == before


async def test_two_that_make_it_at_once_make_one() -> None:
    """P4: a predecessor's create may arrive after the successor's judgement."""
    kube = cluster()
    does = doing(kube)
    first, second = await does.plan_effect(FETCH, around()), await does.plan_effect(FETCH, around())
    await does.apply(first)
    await does.apply(second)
    assert [what for what, name, _ in kube.writes if name.startswith("job/")] == ["create"]
    assert [what for what, name, _ in kube.writes if name.startswith("persistent")] == ["create"]


async def test_an_answer_that_was_lost_is_found_by_the_name() -> None:
    kube = cluster()
    does = doing(kube)
    prepared = await does.plan_effect(FETCH, around())
    assert await does.probe(prepared) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("the connection broke")
    with pytest.raises(OutcomeUnknown):
        await does.apply(prepared)
    assert await does.probe(prepared) is EffectStatus.NOT_DONE, "the Job is there and its claim is not"
    rest = await does.plan_effect(FETCH, around())
    assert rest.write is not None
    assert not rest.already
    await does.apply(rest)
    assert await does.probe(prepared) is EffectStatus.DONE
    assert kube.at(PVCS, ROOM)["metadata"]["ownerReferences"][0]["uid"] == kube.at(JOBS, FETCH_JOB)["metadata"]["uid"]


async def test_a_job_of_somebody_else_by_that_name_is_left_alone() -> None:
    kube = cluster()
    kube.put(JOBS, {"metadata": {"name": FETCH_JOB, "namespace": NAMESPACE, "uid": "u", "labels": {}}})
    with pytest.raises(Refused, match="its name is taken"):
        await doing(kube).plan_effect(FETCH, around())
    prepared = await doing(cluster()).plan_effect(FETCH, around())
    assert await doing(kube).probe(prepared) is EffectStatus.UNKNOWN
    with pytest.raises(Conflict):
        await doing(kube).apply(prepared)


async def test_a_job_whose_claim_is_refused_is_taken_away_again() -> None:
    """A quota, for instance: it could never start."""
    kube = cluster()
    kube.refused[PVCS] = Forbidden("exceeded quota: storage", status=403)
    prepared = await doing(kube).plan_effect(FETCH, around())
    with pytest.raises(Forbidden, match="exceeded quota"):
        await doing(kube).apply(prepared)
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
    kube = cluster()
    with pytest.raises(Refused, match=why):
        await doing(kube, settings).plan_effect(command, around())
    assert kube.writes == []


async def test_a_secret_that_is_missing_is_said_where_secrets_may_be_read() -> None:
    kube = cluster()
    del kube.objects[SECRETS, NAMESPACE, "app-credentials"]
    await fetched(kube)
    with pytest.raises(Refused, match="PGPASSWORD_APP_RW comes from secret/app-credentials, which does not exist"):
        await doing(kube).plan_effect(RESTORE, around("restore"))
    kube.put(SECRETS, secret("app-credentials", "user"))
    with pytest.raises(Refused, match="which has no key 'password'"):
        await doing(kube).plan_effect(RESTORE, around("restore"))


async def test_our_own_ledger_s_database_is_never_a_target() -> None:
    """P8, by its name or by its address."""
    kube = cluster()
    await fetched(kube)
    for host in ("database.production.svc.cluster.local", "database.production", "10.0.0.7"):
        with pytest.raises(Refused, match="Kintsugi's own ledger"):
            await doing(kube).plan_effect(RESTORE, around("restore", ledger_host=host))
    await doing(kube).plan_effect(RESTORE, around("restore", ledger_host="ledger.kintsugi"))


async def test_a_host_that_leads_to_another_service_s_pods_is_refused() -> None:
    kube = cluster()
    await fetched(kube)
    kube.put(SERVICES, service(app="web"))
    kube.put(PODS, web_pod())
    with pytest.raises(
        Refused, match="does not lead to the service's own pods: pod/web-1 is not one of the pods of database"
    ):
        await doing(kube).plan_effect(RESTORE, around("restore"))


async def test_names_of_steps_never_meet() -> None:
    kube = cluster()
    paths = ["a/b#0", "a-b#0", "a_b#0", "newest#0r1", "each[0]#0", "each[1]#0", f"{'long' * 20}#0", f"{'long' * 21}#0"]
    found = [(await doing(kube).plan_effect(FETCH, around(path=path))).facts["job"] for path in paths]
    found.append((await doing(kube).plan_effect(FETCH, around(phase=Phase.ROLLBACK))).facts["job"])
    assert len(set(found)) == len(found)
    assert all(len(str(name)) <= 57 for name in found), found


async def test_a_worker_is_taken_back_by_ending_it_and_what_it_said_is_kept() -> None:
    kube = cluster()
    prepared = await fetched(kube)
    assert prepared.undo.texts == (f"kubectl delete job {FETCH_JOB} -n production",)
    (command,) = map(decode, prepared.undo.commands)
    assert isinstance(command, Delete)
    does = doing(kube)
    with pytest.raises(Refused, match="not a worker of this run"):
        await does.plan_effect(command, around(run="run-other00000000000000", phase=Phase.UNDO))
    end = await does.plan_effect(command, around(phase=Phase.UNDO))
    assert end.facts["uid"] == kube.at(JOBS, FETCH_JOB)["metadata"]["uid"]
    await does.apply(end)
    assert await does.probe(end) is EffectStatus.DONE
    assert render(end.command) == prepared.undo.texts[0]
