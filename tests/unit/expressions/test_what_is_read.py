"""`reads` says which values an expression depends on, through macros and indices."""

import pytest

from kintsugi.expressions import ANY
from tests.unit.expressions.examples import SCOPE


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("vase.name", {"vase.name"}),
        ("has(vase.lid)", {"vase.lid"}),
        ("vase.marks['a.b/c']", {"vase.marks.a.b/c"}),
        ("vase.?lid.?width.orValue(0)", {"vase.lid.width"}),
        ("vase.pieces[limit].width", {"vase.pieces.width", "limit"}),
        ("vase.pieces.exists(p, p.width > limit)", {"vase.pieces", "vase.pieces.width", "limit"}),
        ("vases.all(v, v.pieces.all(p, p.width > 1))", {"vases", "vases.pieces", "vases.pieces.width"}),
        ("cel.bind(l, vase.lid, l.width)", {"vase.lid", "vase.lid.width"}),
        ("steps.find.vase.name", {"steps.find.vase.name"}),
        ("steps.find.passed && !vases.old_vase.whole", {"steps.find.passed", "vases.old_vase.whole"}),
        ("pod.displayStatus", {"pod.displayStatus"}),
        ("pods.exists(p, p.unhealthy)", {"pods", "pods.unhealthy", "now"}),
        ("vases.filter(v, v.whole)[0].name", {"vases", "vases.whole"}),
        ("{'a': vase.name, 'b': [limit]}", {"vase.name", "limit"}),
        ("1 + 2", set()),
    ],
)
def test_reads_are_the_dotted_paths(source: str, reads: set[str]) -> None:
    assert SCOPE.expression(source, result=ANY).reads == reads
