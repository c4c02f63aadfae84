"""The size of the code, and how far a reader jumps who follows one delete, one step and one alert: `python -m tests.structure`."""
