"""
What is wrong with a workload, from what was read of it: facts in, causes out, the likeliest first.

Pure. `facts` is what was read, `words` what is understood of texts, `last_change` who of two has changed last; each cause has
a function, and `FINDERS` is the table of them. The causes, their objects and fields are those of docs/faults.md.
"""

from kintsugi.decisions.diagnosis.diagnose import FINDERS, diagnose
from kintsugi.decisions.diagnosis.facts import WorkloadFacts

__all__ = ["FINDERS", "WorkloadFacts", "diagnose"]
