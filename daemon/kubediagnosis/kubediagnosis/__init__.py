"""
Why a workload does not work: `workload_reader` reads it, `diagnose` finds the causes, the likeliest first, `headline` puts them
in one line.

`facts` has the values that were read, `words` the patterns of known texts, `last_change` the rule for which of two objects
changed last. Each cause has a function, and `FINDERS` is the table of them. The causes, their objects and fields are those of
docs/faults.md. All but the readers is pure.
"""
