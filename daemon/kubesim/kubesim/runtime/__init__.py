"""
Containers that are real processes: a container runtime without namespaces.

A program of an image runs on this machine, below a process that ends all that it started (`init`). Its files are
folders (`mounts`), its address is one of loopback, and names that a namespace would provide are translated
in its words (`translation`).
"""
