"""
Containers that are real processes: what a container runtime does, without its namespaces.

A program of an image runs on this machine, below a process that ends all that it started (`init`). Its files are
folders (`folders`, `mounts`), its address is one of loopback, and what a namespace would show it under a name of its own
is translated in its words (`translation`).
"""
