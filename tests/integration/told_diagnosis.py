"""A diagnosis as the doubles of the API's operations answer it."""

from datetime import UTC, datetime

from kubediagnosis.causes import (
    Cause,
    CauseKind,
    Confidence,
    Diagnosis,
    EvidenceItem,
    EvidenceSource,
    RegistryAnswer,
)

AT = datetime(2026, 11, 24, 3, 2, tzinfo=UTC)
WORDS = 'failed to pull and unpack image "shop:2.1": not found'
DIAGNOSIS = Diagnosis(
    object="deployment/web",
    namespace="production",
    at=AT,
    summary=f"deployment/web: container web cannot pull image shop:2.1: the registry does not have it: {WORDS}",
    causes=(
        Cause(
            kind=CauseKind.IMAGE_PULL,
            object="deployment/web",
            field="containers[web].image",
            confidence=Confidence.CERTAIN,
            text=f"container web cannot pull image shop:2.1: the registry does not have it: {WORDS}",
            evidence=(
                EvidenceItem(
                    source=EvidenceSource.FIELD,
                    object="pod/web-1",
                    field="status.containerStatuses[web].state.waiting",
                    text="ImagePullBackOff",
                ),
                EvidenceItem(source=EvidenceSource.EVENT, object="pod/web-1", field="Failed", text=WORDS, at=AT),
            ),
            registry=RegistryAnswer.NOT_FOUND,
        ),
        Cause(
            kind=CauseKind.CONTAINER_EXIT,
            object="pod/web-2",
            field="containers[web]",
            confidence=Confidence.LIKELY,
            text="container web ends with exit code 1, 4 restarts",
        ),
    ),
    unknown=("secrets of production: no right to get them",),
)
