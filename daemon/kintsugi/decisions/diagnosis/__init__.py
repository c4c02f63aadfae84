"""
The diagnosis of a workload: facts come in, causes go out, the likeliest first.

Pure. `facts` has the values that were read, `words` the patterns of known texts, `last_change` the rule for which of
two objects changed last. Each cause has a function, and `FINDERS` is the table of them. The causes, their objects and
fields are those of docs/faults.md.
"""

from kintsugi.decisions.diagnosis.diagnose import FINDERS, diagnose
from kintsugi.decisions.diagnosis.facts import WorkloadFacts

__all__ = ["FINDERS", "WorkloadFacts", "diagnose"]
