"""What the Dockerfile promises, as far as it can be told without building it; tests/cluster/test_story_image.py builds it."""

import re
import tomllib
from dataclasses import dataclass

from kintsugi_restore.worker import PG_MAJOR
from tests.harness import product_image
from tests.unit.project.tree import KUBESIM, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORE = (ROOT / ".dockerignore").read_text()


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One instruction of the Dockerfile, its continued lines made one, and the number of its stage (0: before any)."""

    word: str
    rest: str
    stage: int


def instructions() -> list[Instruction]:
    """Read the Dockerfile."""
    found: list[Instruction] = []
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(maxsplit=1)
        stage = (found[-1].stage if found else 0) + (word == "FROM")
        found.append(Instruction(word=word, rest=" ".join(rest.split()), stage=stage))
    return found


LAST = instructions()[-1].stage


def values(word: str, *, stage: int | None = None) -> list[str]:
    """Return what follows a word, in one stage or in all."""
    return [each.rest for each in instructions() if each.word == word and stage in (None, each.stage)]


def default(argument: str) -> str:
    """Return the default of a build argument."""
    [value] = {rest.partition("=")[2] for rest in values("ARG") if rest.startswith(f"{argument}=")}
    return value


def test_the_client_programs_are_of_the_major_version_that_the_worker_expects() -> None:
    """pg_restore of another one refuses the archive, or restores it otherwise."""
    assert default("PG_MAJOR") == str(PG_MAJOR)
    assert "${PG_MAJOR}" in default("PG_IMAGE")
    assert [program for program in ("pg_restore", "psql") if f"{program} --version" not in DOCKERFILE] == []


def test_every_package_that_is_installed_is_locked() -> None:
    """By hash and as a wheel, or from what the build itself made."""
    calls = [
        call for run in values("RUN") for call in run.split("&&") if re.search(r"\bpip\b.* (install|wheel) ", call)
    ]
    assert calls
    assert [
        call
        for call in calls
        if "--no-index" not in call and not {"--require-hashes", "--only-binary=:all:"} <= {*call.split()}
    ] == []
    assert re.search(r"\b(apt|apt-get|curl|wget|gcc)\b", DOCKERFILE) is None


def test_the_build_system_is_locked_as_in_the_tests() -> None:
    """requirements-build.lock holds the build system that pyproject.toml names, by hash and without an index."""
    lock, tests = ((ROOT / name).read_text() for name in ("requirements-build.lock", "requirements-test.lock"))
    wanted = [re.split(r"[<>=~]", each)[0] for each in PROJECT["build-system"]["requires"]]
    pinned = re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)
    assert [name for name in wanted if name not in dict(pinned)] == []
    assert [name for name, version in pinned if f"\n{name}=={version} " not in tests] == []
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock


def test_the_last_stage_runs_as_a_numbered_user_and_installs_nothing() -> None:
    """Kubernetes' runAsNonRoot believes a number only."""
    assert values("USER") == ["65532:65532"]
    assert values("USER", stage=LAST) == values("USER")
    assert values("ENTRYPOINT", stage=LAST) == ['["kintsugi"]']
    assert [run for run in values("RUN", stage=LAST) if re.search(r"\bpip\b|venv", run)] == []
    assert "PYTHONDONTWRITEBYTECODE=1" in " ".join(values("ENV", stage=LAST))


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    """No secret and no leftover of a folder can slip in, and nothing that is needed stays out."""
    lines = [line for line in IGNORE.splitlines() if line and not line.startswith("#")]
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {source for rest in values("COPY") if "--from" not in rest for source in rest.split()[:-1]}
    assert lines[0] == "*"
    assert copied == let_in
    assert {*product_image.CONTEXT} == copied | {"Dockerfile", ".dockerignore"}


def test_the_embedded_cluster_stays_out_and_no_host_is_named() -> None:
    """It is for demonstrations and tests; where packages come from is said by whoever builds."""
    copied = [source for rest in values("COPY") if "--from" not in rest for source in rest.split()[:-1]]
    assert [each for each in copied if KUBESIM.is_relative_to(ROOT / each)] == []
    assert "kubesim" not in DOCKERFILE + (ROOT / "requirements.lock").read_text()
    assert "://" not in DOCKERFILE + IGNORE
