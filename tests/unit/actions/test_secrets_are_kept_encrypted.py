"""What a change must write back and no revision holds is kept encrypted with a key from a file (P8, E4)."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.encrypted import Encryption
from kintsugi.actions.secret_checks import check_undo
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, encode
from kintsugi.errors import DecryptionFailed, Invalid, Refused
from kintsugi.mask import MASK
from kintsugi.model.command import Command, ObjectName, Patch, SetMetadata, Verb
from kintsugi.model.records import Phase
from kintsugi.telemetry import SECRETS
from kubeobjects.resources import CRONJOBS, DEPLOYMENTS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context, deployment
from tests.unit.actions.test_secrets_stay_where_they_are import CANARY, REPLACE, stored, with_literal

PATH = "change#0"


def line(number: int) -> str:
    """Make a line of a file of keys."""
    return base64.b64encode(bytes([number]) * 32).decode() + "\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Write a file with one key."""
    file = tmp_path / "keys"
    file.write_text(line(1))
    return file


def write(key_file: Path, content: str | None) -> None:
    """Put another content into a file of keys, or take the file away."""
    key_file.unlink() if content is None else key_file.write_text(content)


def forgetful() -> ClusterOfDicts:
    """Make a Deployment that keeps no old revision, with a literal secret in its environment."""
    obj = with_literal(deployment())
    obj["spec"]["revisionHistoryLimit"] = 0
    return ClusterOfDicts((DEPLOYMENTS, obj))


def actions(kube: ClusterOfDicts, key_file: Path | None) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()), encryption=Encryption(key_file))


def patch(content: str = REPLACE) -> Patch:
    """Make the patch that takes the secret away."""
    return Patch(object=ObjectName(resource=DEPLOYMENTS, name="web"), namespace=NAMESPACE, patch=content, kind="json")


def now(path: str = PATH, phase: Phase = Phase.FORWARD) -> ChangeContext:
    """Return for which step a change is made."""
    return replace(change_context(phase=phase), path=path)


async def changed(kube: ClusterOfDicts, key_file: Path, command: Command | None = None) -> EffectPlan:
    """Make the change, as an executor does."""
    does = actions(kube, key_file)
    prepared = await does.plan_effect(command or patch(), now())
    check_undo(prepared)
    await does.apply(prepared)
    return prepared


async def take_back(
    kube: ClusterOfDicts, key_file: Path | None, prepared: EffectPlan, path: str = f"{PATH}~0"
) -> EffectPlan:
    """Do the undo of a change, as it is read from the ledger again."""
    does = actions(kube, key_file)
    (command,) = prepared.undo.commands
    back = await does.plan_effect(decode(orjson.loads(orjson.dumps(command))), now(path, Phase.UNDO))
    check_undo(back)
    await does.apply(back)
    return back


@pytest.mark.parametrize("path", [f"{PATH}~0", f"{PATH}~0r2"])
async def test_a_template_that_no_revision_holds_comes_back_byte_for_byte(key_file: Path, path: str) -> None:
    kube = forgetful()
    before = orjson.dumps(kube.at(DEPLOYMENTS, "web")["spec"])
    prepared = await changed(kube, key_file)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"][0]["env"] == []
    back = await take_back(kube, key_file, prepared, path)
    assert orjson.dumps(kube.at(DEPLOYMENTS, "web")["spec"]) == before
    for kept in (stored(prepared), stored(back), repr(prepared), repr(back)):
        assert CANARY not in kept
        assert MASK not in kept, "what is written back is never masked"
    assert "[encrypted with key " in prepared.undo.texts[0]
    assert back.command == decode(orjson.loads(orjson.dumps(encode(back.command))))


async def test_a_cron_job_and_an_annotation_come_back_too(key_file: Path) -> None:
    schedule = {
        "kind": "CronJob",
        "metadata": {"name": "tidy", "namespace": NAMESPACE, "uid": "uid-tidy"},
        "spec": {"jobTemplate": with_literal(deployment())},
    }
    obj = deployment()
    obj["metadata"]["annotations"]["note"] = "password: hunter2"
    kube = ClusterOfDicts((CRONJOBS, schedule), (DEPLOYMENTS, obj))
    before = orjson.dumps(
        [kube.at(CRONJOBS, "tidy")["spec"], kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"]["note"]]
    )
    path = "/spec/jobTemplate/spec/template/spec/containers/0/env"
    scheduled = Patch(
        object=ObjectName(resource=CRONJOBS, name="tidy"),
        namespace=NAMESPACE,
        patch=f'[{{"op":"replace","path":"{path}","value":[]}}]',
        kind="json",
    )
    asked = ObjectName(resource=DEPLOYMENTS, name="web")
    mark = SetMetadata(
        verb=Verb.ANNOTATE, objects=(asked,), namespace=NAMESPACE, values={"note": "new"}, overwrite=True
    )
    for command in (scheduled, mark):
        prepared = await changed(kube, key_file, command)
        assert "hunter2" not in orjson.dumps(prepared.undo.commands).decode()
        assert CANARY not in stored(prepared)
        await take_back(kube, key_file, prepared)
    after = [kube.at(CRONJOBS, "tidy")["spec"], kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"]["note"]]
    assert orjson.dumps(after) == before


async def test_without_a_key_the_change_is_refused_and_says_how_to_set_one() -> None:
    with pytest.raises(Refused, match=r"with a key in ledger\.encryptionKeyFile it would be kept encrypted"):
        await actions(forgetful(), None).plan_effect(patch(), now())


async def test_a_file_of_keys_that_is_gone_when_the_change_is_made_refuses_it(key_file: Path) -> None:
    write(key_file, None)
    with pytest.raises(
        Refused, match=r"the key file .*/keys cannot be read: No such file or directory: the object is not changed"
    ):
        await actions(forgetful(), key_file).plan_effect(patch(), now())


async def test_a_key_is_rotated_by_a_line_above_it_while_the_daemon_runs(key_file: Path) -> None:
    kube = forgetful()
    before = orjson.dumps(kube.at(DEPLOYMENTS, "web")["spec"])
    prepared = await changed(kube, key_file)
    write(key_file, line(2) + line(1))
    await take_back(kube, key_file, prepared)
    assert orjson.dumps(kube.at(DEPLOYMENTS, "web")["spec"]) == before
    assert (await changed(kube, key_file)).undo.texts != prepared.undo.texts, "the first key encrypts"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            line(3),
            r"change#0 is kept encrypted, .* with the key [0-9a-f]{16}, and the file has [0-9a-f]{16} \(.*/keys\)",
        ),
        ("nothing\n", "cannot be used: line 1"),
        (None, "cannot be read: No such file"),
    ],
)
async def test_a_key_that_is_gone_by_the_undo_leaves_everything_as_it_is(
    key_file: Path, content: str | None, why: str
) -> None:
    kube = forgetful()
    prepared = await changed(kube, key_file)
    left = orjson.dumps(kube.at(DEPLOYMENTS, "web"))
    write(key_file, content)
    with pytest.raises(DecryptionFailed, match=why):
        await take_back(kube, key_file, prepared)
    with pytest.raises(DecryptionFailed, match=r"set ledger\.encryptionKeyFile"):
        await take_back(kube, None, prepared)
    assert orjson.dumps(kube.at(DEPLOYMENTS, "web")) == left


async def test_a_value_that_was_encrypted_for_one_step_is_decrypted_for_no_other(key_file: Path) -> None:
    """Whoever can write the ledger cannot have a secret put where they may read it: another step, run or object."""
    kube = forgetful()
    prepared = await changed(kube, key_file)
    (encoded,) = prepared.undo.commands
    other = deepened(encoded)
    kube.put(DEPLOYMENTS, {**with_literal(deployment()), "metadata": {**deployment()["metadata"], "name": "other"}})
    for command, place in (
        (decode(encoded), now("another#0~0", Phase.UNDO)),
        (decode(encoded), replace(now(f"{PATH}~0", Phase.UNDO), run="another")),
        (decode(other), now(f"{PATH}~0", Phase.UNDO)),
    ):
        with pytest.raises(DecryptionFailed, match="belongs elsewhere"):
            await actions(kube, key_file).plan_effect(command, place)


def deepened(encoded: object) -> dict[str, Any]:
    """Turn an encoded command to another object."""
    again: dict[str, Any] = orjson.loads(orjson.dumps(encoded))
    named = again["object"]
    assert isinstance(named, dict)
    return {**again, "object": {**named, "name": "other"}}


class Quoting(ClusterOfDicts):
    """A cluster that refuses every write, and quotes what it was asked to write."""

    quotes = False

    async def patch(self, *args: object, **more: object) -> dict[str, Any]:
        """Refuse, with the content in the reason."""
        if self.quotes:
            raise Invalid(
                f'spec.env[0].value: Invalid value: "{CANARY}": {orjson.dumps(args[-1]).decode()}', status=422
            )
        return await super().patch(*args, **more)  # type: ignore[arg-type]


async def test_a_server_that_quotes_the_value_tells_it_to_nobody(key_file: Path) -> None:
    kube = Quoting()
    kube.objects = forgetful().objects
    prepared = await changed(kube, key_file)
    does = actions(kube, key_file)
    (command,) = prepared.undo.commands
    back = await does.plan_effect(decode(command), now(f"{PATH}~0", Phase.UNDO))
    kube.quotes = True
    with pytest.raises(Invalid, match="Invalid value") as refused:
        await does.apply(back)
    assert CANARY not in str(refused.value)
    with pytest.raises(Invalid, match="Invalid value") as refused:
        await does.plan_effect(decode(command), now(f"{PATH}~0", Phase.UNDO))
    assert CANARY not in str(refused.value)


async def test_neither_a_key_nor_what_it_encrypted_is_shown(key_file: Path) -> None:
    prepared = await changed(forgetful(), key_file)
    shown = orjson.dumps(SECRETS.value(orjson.loads(orjson.dumps([prepared.undo.commands, f"key {line(1)}"])))).decode()
    assert "AQEBAQEB" not in shown
    encrypted = prepared.undo.commands[0]["patch"]
    assert str(encrypted).rpartition(":")[2] not in shown
