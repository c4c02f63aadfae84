"""The manifests of the documentation, as a real API server judges them: a field that it does not know is an error."""

from pathlib import Path

import pytest
import yaml

from tests.cluster import bound_account
from tests.harness.cluster import RealCluster
from tests.harness.daemon import RIGHTS

pytestmark = pytest.mark.cluster

MANIFESTS = sorted(RIGHTS.parent.glob("*.yaml"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.name)
def test_a_manifest_of_the_documentation_is_accepted_whole(cluster: RealCluster, manifest: Path) -> None:
    """By a dry run on the server's side, where its namespaces are."""
    bound_account.login(cluster)
    said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(manifest))
    objects = [each for each in yaml.safe_load_all(manifest.read_text()) if each]
    assert said.count("(server dry run)") == len(objects) == len(said.splitlines()), said
