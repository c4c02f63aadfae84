"""All sabotages."""

from collections.abc import Sequence

from tests.sabotage.catalogue import changing, deciding
from tests.sabotage.sabotage import Sabotage

ALL: Sequence[Sabotage] = (*deciding.SABOTAGES, *changing.SABOTAGES)
