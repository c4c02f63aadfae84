"""What was found wrong is kept with its incident, whole and without secrets, and the first of an incident stays the first."""

from datetime import timedelta

from kintsugi.ledger import Ledger
from kintsugi.ledger.incidents.diagnoses import LONGEST, MOST_UNKNOWN
from kintsugi.model.records import KeptDiagnosis, Occasion
from kubediagnosis.causes import Diagnosis
from tests.contract.ledger.build import MINUTE, NOW, begin, kept


async def test_diagnoses_are_kept_in_order_as_they_were_made_and_a_repeated_write_is_one(ledger: Ledger) -> None:
    """That of the opening is kept once: a restart, or whoever else looks at the incident, makes it again."""
    run = await begin(ledger)
    made = [
        kept(run),
        kept(run, Occasion.ROLLBACK, at=NOW + MINUTE),
        kept(run, Occasion.HAND_OVER, at=NOW + 2 * MINUTE),
        kept(run, Occasion.HAND_OVER, at=NOW + 3 * MINUTE),
    ]
    for each in (*made, made[1], made[2], kept(run, at=NOW + MINUTE)):
        await ledger.incidents.keep_diagnosis(each)
    assert await ledger.incidents.diagnoses_of(run.incident) == tuple(made)


async def test_the_diagnoses_of_several_incidents_are_found_at_once(ledger: Ledger) -> None:
    web, api, jobs = [await begin(ledger, service) for service in ("web", "api", "jobs")]
    for run in (web, api, jobs):
        await ledger.incidents.keep_diagnosis(kept(run))
    found = await ledger.incidents.diagnoses_of(web.incident, jobs.incident)
    assert [each.incident for each in found] == [web.incident, jobs.incident]
    assert await ledger.incidents.diagnoses_of() == ()


async def test_a_diagnosis_is_kept_bounded(ledger: Ledger) -> None:
    run = await begin(ledger)
    long = Diagnosis(
        object="deployment/web",
        namespace="shop",
        at=NOW - timedelta(days=1),
        summary="x" * 10 * LONGEST,
        unknown=tuple(f"{number}" for number in range(10 * MOST_UNKNOWN)),
    )
    await ledger.incidents.keep_diagnosis(
        KeptDiagnosis(incident=run.incident, occasion=Occasion.OPENED, diagnosis=long)
    )
    (found,) = await ledger.incidents.diagnoses_of(run.incident)
    assert len(found.diagnosis.summary) == LONGEST + 1
    assert len(found.diagnosis.unknown) == MOST_UNKNOWN
