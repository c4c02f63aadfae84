"""All sabotages, an area a module. A new one is added to its area; a new area, here."""

from collections.abc import Sequence

from tests.sabotage.catalogue import (
    admitted,
    bounded,
    clocks,
    contained,
    earned,
    guarded,
    incoming,
    promises,
    reconciled,
)
from tests.sabotage.sabotage import Sabotage

ALL: Sequence[Sabotage] = (
    *earned.SABOTAGES,
    *promises.SABOTAGES,
    *incoming.SABOTAGES,
    *admitted.SABOTAGES,
    *guarded.SABOTAGES,
    *reconciled.SABOTAGES,
    *contained.SABOTAGES,
    *clocks.SABOTAGES,
    *bounded.SABOTAGES,
)
