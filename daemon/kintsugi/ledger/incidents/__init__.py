"""Incidents with all that is theirs: the requests of runs, the history that decides on them, steps, locks, evidence."""
