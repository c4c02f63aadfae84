"""A change whose undo holds a secret names where the secret is, or keeps it encrypted, or is not made (E4, P8)."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from kintsugi.actions.command_secrets import Encryption, check_undo, holds_secret
from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.commands import decode, encode, parse
from kintsugi.errors import DecryptionFailed, Invalid, NotYet, Refused
from kintsugi.mask import MASK
from kintsugi.model.command import Command, ObjectName, Patch, TemplateReference, Verb
from kintsugi.model.records import Phase
from kintsugi.telemetry import SECRETS
from kintsugi.verbs.curl import Curl
from kintsugi.verbs.rollout import Rollout
from kubeobjects.resources import CRONJOBS, DEPLOYMENTS, REPLICASETS, STATEFULSETS, Resource
from tests.unit.actions.changes import Cluster, Object, stored
from tests.unit.actions.samples import NAMESPACE, controller_revision, deployment, replica_set, stateful_set

CANARY = "canary-in-a-literal"
REPLACE = '[{"op":"replace","path":"/spec/template/spec/containers/0/env","value":[]}]'
UPGRADE = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"web:3"}]'
SCHEDULED = REPLACE.replace("/spec/template", "/spec/jobTemplate/spec/template")
ANNOTATE = "kubectl annotate deployment web note=new --overwrite"


def with_literal(obj: Object) -> Object:
    """Put a literal secret into the environment of an object's container."""
    inner = obj["data"]["spec"] if "data" in obj else obj["spec"]
    inner["template"]["spec"]["containers"][0]["env"] = [{"name": "PLAIN", "value": CANARY}]
    return obj


def cluster() -> Cluster:
    """Make a Deployment with a literal secret, and the ReplicaSet that holds its template."""
    return Cluster(with_literal(deployment()), with_literal(replica_set(2, "web:2")))


def forgetful(encryption: Encryption | None = None) -> Cluster:
    """Make such a Deployment that keeps no old revision, a CronJob with the same secret, and one in an annotation."""
    obj = with_literal(deployment())
    obj["spec"]["revisionHistoryLimit"] = 0
    obj["metadata"]["annotations"]["note"] = "password: hunter2"
    schedule = {
        "kind": "CronJob",
        "metadata": {"name": "tidy", "namespace": NAMESPACE, "uid": "uid-tidy"},
        "spec": {"jobTemplate": with_literal(deployment())},
    }
    return Cluster(obj, schedule, encryption=encryption)


def patch(content: str = REPLACE, resource: Resource = DEPLOYMENTS, name: str = "web") -> Patch:
    """Make a JSON patch; the one that takes the secret away, unless another is said."""
    return Patch(object=ObjectName(resource=resource, name=name), namespace=NAMESPACE, patch=content, kind="json")


def spec_of(kube: Cluster, resource: Resource = DEPLOYMENTS, name: str = "web") -> Object:
    """Return what a workload asks for."""
    spec: Object = kube.at(resource, name)["spec"]
    return spec


async def test_a_template_with_a_literal_secret_comes_back_byte_for_byte_and_is_kept_nowhere() -> None:
    kube = cluster()
    before = orjson.dumps(spec_of(kube))
    plan = await kube.make(patch())
    assert CANARY not in stored(plan)
    assert MASK not in stored(plan), "what is written back is never masked"
    assert plan.undo.texts == ("kubectl rollout undo deployment/web --to-revision=2 -n production",)
    assert spec_of(kube)["template"]["spec"]["containers"][0]["env"] == []
    await kube.undo(plan)
    assert orjson.dumps(spec_of(kube)) == before


async def test_the_template_of_a_stateful_set_comes_back_from_its_controller_revision() -> None:
    kube = Cluster(with_literal(stateful_set()), with_literal(controller_revision(2, "db:2")))
    plan = await kube.make(patch(REPLACE, STATEFULSETS, "db"))
    assert CANARY not in stored(plan)
    await kube.undo(plan)
    containers = spec_of(kube, STATEFULSETS, "db")["template"]["spec"]["containers"]
    assert containers == with_literal(stateful_set())["spec"]["template"]["spec"]["containers"]


async def test_the_other_fields_of_a_patch_come_back_beside_the_template() -> None:
    kube = cluster()
    wider = orjson.dumps([*orjson.loads(REPLACE), {"op": "add", "path": "/spec/minReadySeconds", "value": 5}]).decode()
    plan = await kube.make(patch(wider))
    assert spec_of(kube)["minReadySeconds"] == 5
    await kube.undo(plan)
    assert spec_of(kube) == with_literal(deployment())["spec"]


async def test_a_change_beside_a_secret_neither_reads_nor_writes_it_down() -> None:
    """Only the image is tested and written, not the list of containers that it stands in."""
    kube = cluster()
    plan = await kube.make(patch(UPGRADE))
    assert plan.facts["fields"] == ["/spec/template/spec/containers/0/image"]
    assert CANARY not in stored(plan)
    await kube.undo(plan)
    assert spec_of(kube) == with_literal(deployment())["spec"]


def revision(kube: Cluster) -> Object:
    """Return the ReplicaSet that holds the secret."""
    return kube.at(REPLICASETS, "web-2")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda kube: spec_of(kube)["template"]["spec"]["containers"][0].update(image="hotfix"), "by another client"),
        (lambda kube: revision(kube)["metadata"].update(uid="another"), "is gone"),
        (lambda kube: revision(kube)["spec"]["template"]["spec"].update(hostPID=True), "does not hold"),
    ],
)
async def test_a_template_or_a_revision_that_somebody_has_changed_since_is_not_written_back(
    break_it: Callable[[Cluster], object], why: str
) -> None:
    """E17: the template, or the revision that held it."""
    kube = cluster()
    plan = await kube.make(patch())
    break_it(kube)
    with pytest.raises(Refused, match=why):
        await kube.undo(plan)


async def test_a_change_is_refused_where_nothing_but_the_ledger_would_hold_the_former_secret() -> None:
    """A CronJob has no revisions; a Deployment may be told to keep none; and it may not have made one yet."""
    said = await forgetful().refusal(patch(SCHEDULED, CRONJOBS, "tidy"))
    assert "no revision holds it" in said
    said = await forgetful().refusal(patch())
    assert "keeps no old revisions" in said
    assert "with a key in ledger.encryptionKeyFile it would be kept encrypted" in said
    with pytest.raises(NotYet, match="no revision yet"):
        await Cluster(with_literal(deployment())).plan(patch())
    with pytest.raises(Refused, match="would write a secret into the ledger"):
        await forgetful().make(ANNOTATE)


LITERAL = '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"FEATURE","value":"off"}]}]}}}}'
BY_SHAPE = LITERAL.replace('"off"', '"password=hunter2"')
TO_REVISION = Rollout(
    verb=Verb.ROLLOUT_UNDO,
    object=ObjectName(resource=DEPLOYMENTS, name="web"),
    namespace="x",
    revision=2,
    template=TemplateReference(
        uid="8f14e45f-ceea-467f-a9e4-0e1c1e1d6d4f", digest="0123456789abcdef", over="fedcba9876543210"
    ),
)


@pytest.mark.parametrize(
    ("command", "written", "holds"),
    [
        (patch(LITERAL), "", True),
        (patch(LITERAL), f"kubectl patch deployment web -p '{LITERAL}'", False),
        (patch(BY_SHAPE), BY_SHAPE, True),
        (patch(UPGRADE), "", False),
        (patch(f'[{{"op":"add","path":"/metadata/annotations/a","value":"{MASK}"}}]'), "", True),
        (Curl(url="http://user:hunter2@web/"), "", True),
        (parse("kubectl rollout restart deployment/token-service", namespace="x"), "", False),
        (TO_REVISION, "", False),
    ],
)
def test_a_command_holds_a_secret_by_its_place_unless_the_runbook_has_it_and_by_its_shape_always(
    command: Command, written: str, *, holds: bool
) -> None:
    assert holds_secret(command, written=written) is holds


def test_no_command_of_a_secret_passes_as_an_undo() -> None:
    back = patch('[{"op":"replace","path":"/spec/template/spec/containers/0/env/0/value","value":"x-y-z"}]')
    with pytest.raises(Refused, match="would write a secret into the ledger"):
        check_undo(EffectPlan(command=patch(UPGRADE), intent=Intent(uid=""), undo=undone_by(back)))


CHANGE, UNDO = {"path": "change#0"}, {"path": "change#0~0"}


def line(number: int) -> str:
    """Make a line of a file of keys."""
    return base64.b64encode(bytes([number]) * 32).decode() + "\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Write a file with one key."""
    file = tmp_path / "keys"
    file.write_text(line(1))
    return file


def write(key_file: Path, content: str) -> None:
    """Put another content into a file of keys, or take the file away."""
    key_file.write_text(content) if content else key_file.unlink()


@pytest.fixture
def kube(key_file: Path) -> Cluster:
    """Make what no revision holds, with that key."""
    return forgetful(Encryption(key_file))


@pytest.mark.parametrize("path", ["change#0~0", "change#0~0r2"])
async def test_a_template_that_no_revision_holds_comes_back_byte_for_byte(kube: Cluster, path: str) -> None:
    before = orjson.dumps(spec_of(kube))
    plan = await kube.make(patch(), **CHANGE)
    assert spec_of(kube)["template"]["spec"]["containers"][0]["env"] == []
    (back,) = await kube.undo(plan, path=path)
    assert orjson.dumps(spec_of(kube)) == before
    for kept in (stored(plan), stored(back), repr(plan), repr(back)):
        assert CANARY not in kept
        assert MASK not in kept, "what is written back is never masked"
    assert "[encrypted with key " in plan.undo.texts[0]
    assert back.command == decode(orjson.loads(orjson.dumps(encode(back.command))))


async def test_a_cron_job_and_an_annotation_come_back_too(kube: Cluster) -> None:
    for command in (patch(SCHEDULED, CRONJOBS, "tidy"), ANNOTATE):
        plan = await kube.make(command, **CHANGE)
        assert "hunter2" not in orjson.dumps(plan.undo.commands).decode()
        assert CANARY not in stored(plan)
        await kube.undo(plan, **UNDO)
    assert spec_of(kube, CRONJOBS, "tidy")["jobTemplate"] == with_literal(deployment())
    assert kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"]["note"] == "password: hunter2"


async def test_a_file_of_keys_that_is_gone_when_the_change_is_made_refuses_it(kube: Cluster, key_file: Path) -> None:
    write(key_file, "")
    said = await kube.refusal(patch(), **CHANGE)
    assert f"the key file {key_file} cannot be read: No such file or directory: the object is not changed" in said


async def test_a_key_is_rotated_by_a_line_above_it_while_the_daemon_runs(kube: Cluster, key_file: Path) -> None:
    before = orjson.dumps(spec_of(kube))
    plan = await kube.make(patch(), **CHANGE)
    write(key_file, line(2) + line(1))
    await kube.undo(plan, **UNDO)
    assert orjson.dumps(spec_of(kube)) == before
    assert (await kube.make(patch(), **CHANGE)).undo.texts != plan.undo.texts, "the first key encrypts"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            line(3),
            r"change#0 is kept encrypted, .* with the key [0-9a-f]{16}, and the file has [0-9a-f]{16} \(.*/keys\)",
        ),
        ("nothing\n", "cannot be used: line 1"),
        ("", "cannot be read: No such file"),
    ],
)
async def test_a_key_that_is_gone_by_the_undo_leaves_everything_as_it_is(
    kube: Cluster, key_file: Path, content: str, why: str
) -> None:
    plan = await kube.make(patch(), **CHANGE)
    left = orjson.dumps(kube.at(DEPLOYMENTS, "web"))
    write(key_file, content)
    with pytest.raises(DecryptionFailed, match=why):
        await kube.undo(plan, **UNDO)
    without = Cluster(kube.at(DEPLOYMENTS, "web"))
    with pytest.raises(DecryptionFailed, match=r"set ledger\.encryptionKeyFile"):
        await without.undo(plan, **UNDO)
    assert orjson.dumps(kube.at(DEPLOYMENTS, "web")) == left


async def test_a_value_that_was_encrypted_for_one_step_is_decrypted_for_no_other(kube: Cluster) -> None:
    """Whoever can write the ledger cannot have a secret put where they may read it: another step, run or object."""
    (encoded,) = (await kube.make(patch(), **CHANGE)).undo.commands
    again: dict[str, Any] = orjson.loads(orjson.dumps(encoded))
    again["object"]["name"] = "other"
    kube.add(with_literal(deployment("other")))
    for command, place in ((encoded, {"path": "another#0~0"}), (encoded, {**UNDO, "run": "another"}), (again, UNDO)):
        with pytest.raises(DecryptionFailed, match="belongs elsewhere"):
            await kube.plan(decode(command), phase=Phase.UNDO, **place)


class Quoting(Cluster):
    """A cluster that refuses every write, and quotes what it was asked to write."""

    quotes = False

    async def patch(self, *args: object, **more: object) -> dict[str, Any]:
        """Refuse, with the content in the reason."""
        if self.quotes:
            raise Invalid(
                f'spec.env[0].value: Invalid value: "{CANARY}": {orjson.dumps(args[-1]).decode()}', status=422
            )
        return await super().patch(*args, **more)  # type: ignore[arg-type]


async def test_a_server_that_quotes_the_value_tells_it_to_nobody(kube: Cluster, key_file: Path) -> None:
    quoting = Quoting(encryption=Encryption(key_file))
    quoting.objects = kube.objects
    (command,) = (await quoting.make(patch(), **CHANGE)).undo.commands
    back = await quoting.plan(decode(command), phase=Phase.UNDO, **UNDO)
    quoting.quotes = True
    with pytest.raises(Invalid, match="Invalid value") as at_the_write:
        await quoting.actions.apply(back)
    with pytest.raises(Invalid, match="Invalid value") as at_the_dry_run:
        await quoting.plan(decode(command), phase=Phase.UNDO, **UNDO)
    assert CANARY not in f"{at_the_write.value} {at_the_dry_run.value}"


async def test_neither_a_key_nor_what_it_encrypted_is_shown(kube: Cluster) -> None:
    (command,) = (await kube.make(patch(), **CHANGE)).undo.commands
    shown = orjson.dumps(SECRETS.value(orjson.loads(orjson.dumps([command, f"key {line(1)}"])))).decode()
    assert "AQEBAQEB" not in shown
    assert str(command["patch"]).rpartition(":")[2] not in shown
