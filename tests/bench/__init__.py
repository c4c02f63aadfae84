"""Figures of the product, measured from outside on real sockets and files: `python -m tests.bench`."""
