"""What is done does not depend on the value of a secret: no name of the catalog is masked (E27)."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from kintsugi.app.core import spare_names
from kintsugi.telemetry import SECRETS
from tests.unit.factories import shop
from tests.unit.pipeline.business import PipelineBench, alert

pytestmark = pytest.mark.looptime

WORDS = ("production", "web-pods", "web-alerts", "deployment", "mend-it")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Have secrets with the values of names for the time of a test."""
    known, forms = dict(SECRETS._known), SECRETS._forms
    for word in WORDS:
        SECRETS.register(word)
    yield
    SECRETS._known, SECRETS._forms = known, forms
    SECRETS.spare(())


async def test_a_verdict_is_the_same_whatever_a_password_is() -> None:
    spare_names(PipelineBench().catalog)
    verdict = await PipelineBench().judged(alert())
    assert verdict.text.startswith("rule web-alerts starts mend"), verdict


async def test_a_secret_with_the_value_of_a_name_is_warned_of_and_not_named() -> None:
    with capture_logs() as said:
        spare_names(shop())
    (line,) = [each for each in said if "not masked there" in each["event"]]
    assert line["secrets"] == 2
    assert not any(word in str(line) for word in WORDS)
