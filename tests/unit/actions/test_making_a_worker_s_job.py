"""A worker's Job is judged by what is there, made once whoever makes it, and found again by its name (P2, P3, P8)."""

from dataclasses import replace

import pytest

from kintsugi.actions.prepared import Happened, Prepared
from kintsugi.commands import decode, render
from kintsugi.errors import Conflict, Forbidden, OutcomeUnknown, Refused
from kintsugi.model.command import Delete
from kintsugi.model.records import Phase
from kintsugi.objects.resources import JOBS, PODS, PVCS, SECRETS, SERVICES
from kintsugi.settings import RestoreSettings
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE
from tests.unit.actions.samples import pod as web_pod
from tests.unit.actions.worker_samples import (
    FETCH,
    FETCH_JOB,
    RESTORE,
    RESTORE_JOB,
    ROOM,
    SETTINGS,
    around,
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


async def fetched(kube: ClusterOfDicts) -> Prepared:
    """Make the Job that fetches."""
    prepared = await doing(kube).prepare(FETCH, around())
    await doing(kube).perform(prepared)
    return prepared


def spec_of(kube: ClusterOfDicts, name: str = FETCH_JOB) -> dict[str, object]:
    """Give a Job's pod."""
    return kube.at(JOBS, name)["spec"]["template"]["spec"]


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


async def test_secrets_are_named_and_never_read_into_the_job() -> None:
    """S3's for the fetch, PostgreSQL's for the restore, what is neither for none of them."""
    kube = cluster()
    await fetched(kube)
    (fetcher,) = spec_of(kube)["containers"]
    asked = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in fetcher["env"] if "valueFrom" in each}
    assert asked.keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert asked["AWS_SESSION_TOKEN"]["optional"] is True
    does = doing(kube)
    await does.perform(await does.prepare(RESTORE, around("restore")))
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
    await does.perform(await does.prepare(fetch, around()))
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
            "--room",
            "21474836480",
        ),
        *("--role", "app_rw"),
    ]
    await does.perform(await does.prepare(replace(RESTORE, port=5433), around("restore")))
    worker = spec_of(kube, RESTORE_JOB)["containers"][0]
    assert worker["args"] == [
        *("restore", "/backups/app.dump", "--host", "database.production", "--port", "5433"),
        *("--user", "postgres", "--database", "app", "--role", "app_rw"),
    ]
    assert worker["volumeMounts"][0] == {"name": "backups", "mountPath": "/backups", "readOnly": True}


async def test_a_job_that_is_there_already_is_taken_up_and_none_is_made() -> None:
    """P2: whoever made it."""
    kube = cluster()
    await fetched(kube)
    before = list(kube.writes)
    again = await doing(kube).prepare(FETCH, around())
    assert again.already
    await doing(kube).perform(again)
    assert kube.writes == before


async def test_two_that_make_it_at_once_make_one() -> None:
    """P4: a predecessor's create may arrive after the successor's judgement."""
    kube = cluster()
    does = doing(kube)
    first, second = await does.prepare(FETCH, around()), await does.prepare(FETCH, around())
    await does.perform(first)
    await does.perform(second)
    assert [what for what, name, _ in kube.writes if name.startswith("job/")] == ["create"]
    assert [what for what, name, _ in kube.writes if name.startswith("persistent")] == ["create"]


async def test_an_answer_that_was_lost_is_found_by_the_name() -> None:
    kube = cluster()
    does = doing(kube)
    prepared = await does.prepare(FETCH, around())
    assert await does.probe(prepared) is Happened.NOT_DONE
    kube.lost = OutcomeUnknown("the connection broke")
    with pytest.raises(OutcomeUnknown):
        await does.perform(prepared)
    assert await does.probe(prepared) is Happened.NOT_DONE, "the Job is there and its claim is not"
    rest = await does.prepare(FETCH, around())
    assert rest.write is not None
    assert not rest.already
    await does.perform(rest)
    assert await does.probe(prepared) is Happened.DONE
    assert kube.at(PVCS, ROOM)["metadata"]["ownerReferences"][0]["uid"] == kube.at(JOBS, FETCH_JOB)["metadata"]["uid"]


async def test_a_job_of_somebody_else_by_that_name_is_left_alone() -> None:
    kube = cluster()
    kube.put(JOBS, {"metadata": {"name": FETCH_JOB, "namespace": NAMESPACE, "uid": "u", "labels": {}}})
    with pytest.raises(Refused, match="its name is taken"):
        await doing(kube).prepare(FETCH, around())
    prepared = await doing(cluster()).prepare(FETCH, around())
    assert await doing(kube).probe(prepared) is Happened.UNKNOWN
    with pytest.raises(Conflict):
        await doing(kube).perform(prepared)


async def test_a_job_whose_claim_is_refused_is_taken_away_again() -> None:
    """A quota, for instance: it could never start."""
    kube = cluster()
    kube.refused[PVCS] = Forbidden("exceeded quota: storage", status=403)
    prepared = await doing(kube).prepare(FETCH, around())
    with pytest.raises(Forbidden, match="exceeded quota"):
        await doing(kube).perform(prepared)
    assert [what for what, _, _ in kube.writes] == ["create", "delete"]


MISSING = [
    (RestoreSettings(), FETCH, "restore.image is not set"),
    (
        replace(SETTINGS, claim="backups"),
        FETCH,
        "persistentvolumeclaim/backups is not there in production: restore.claim",
    ),
    (SETTINGS, RESTORE, "what was fetched into it is gone with it"),
    (SETTINGS, replace(FETCH, namespace="other"), "other is not the namespace of database"),
    (SETTINGS, replace(RESTORE, host="database.other"), "other is not the namespace of database"),
    (SETTINGS, replace(RESTORE, host="databse.production"), "there is no service/databse in production"),
]


@pytest.mark.parametrize(("settings", "command", "why"), MISSING, ids=[why for *_, why in MISSING])
async def test_what_is_missing_is_said_before_anything_is_made(settings: RestoreSettings, command, why: str) -> None:
    kube = cluster()
    with pytest.raises(Refused, match=why):
        await doing(kube, settings).prepare(command, around())
    assert kube.writes == []


async def test_a_secret_that_is_missing_is_said_where_secrets_may_be_read() -> None:
    kube = cluster()
    del kube.objects[SECRETS, NAMESPACE, "app-credentials"]
    await fetched(kube)
    with pytest.raises(Refused, match="PGPASSWORD_APP_RW comes from secret/app-credentials, which is not there"):
        await doing(kube).prepare(RESTORE, around("restore"))
    kube.put(SECRETS, secret("app-credentials", "user"))
    with pytest.raises(Refused, match="which has no key 'password'"):
        await doing(kube).prepare(RESTORE, around("restore"))


async def test_our_own_ledger_s_database_is_never_a_target() -> None:
    """P8, by its name or by its address."""
    kube = cluster()
    await fetched(kube)
    for host in ("database.production.svc.cluster.local", "database.production", "10.0.0.7"):
        with pytest.raises(Refused, match="our own ledger"):
            await doing(kube).prepare(RESTORE, around("restore", ledger_host=host))
    await doing(kube).prepare(RESTORE, around("restore", ledger_host="ledger.kintsugi"))


async def test_a_host_that_leads_to_another_service_s_pods_is_refused() -> None:
    kube = cluster()
    await fetched(kube)
    kube.put(SERVICES, service(app="web"))
    kube.put(PODS, web_pod())
    with pytest.raises(Refused, match="leads elsewhere: pod/web-1 is not one of the pods of database"):
        await doing(kube).prepare(RESTORE, around("restore"))


async def test_names_of_steps_never_meet() -> None:
    kube = cluster()
    paths = ["a/b#0", "a-b#0", "a_b#0", "newest#0r1", "each[0]#0", "each[1]#0", f"{'long' * 20}#0", f"{'long' * 21}#0"]
    found = [(await doing(kube).prepare(FETCH, around(path=path))).facts["job"] for path in paths]
    found.append((await doing(kube).prepare(FETCH, around(phase=Phase.ROLLBACK))).facts["job"])
    assert len(set(found)) == len(found)
    assert all(len(name) <= 57 for name in found), found


async def test_a_worker_is_taken_back_by_ending_it_and_what_it_said_is_kept() -> None:
    kube = cluster()
    prepared = await fetched(kube)
    assert prepared.undo.texts == (f"kubectl delete job {FETCH_JOB} -n production",)
    (command,) = map(decode, prepared.undo.commands)
    assert isinstance(command, Delete)
    does = doing(kube)
    with pytest.raises(Refused, match="not a worker of this run"):
        await does.prepare(command, around(run="run-other00000000000000", phase=Phase.UNDO))
    end = await does.prepare(command, around(phase=Phase.UNDO))
    assert end.facts["uid"] == kube.at(JOBS, FETCH_JOB)["metadata"]["uid"]
    await does.perform(end)
    assert await does.probe(end) is Happened.DONE
    assert render(end.command) == prepared.undo.texts[0]
