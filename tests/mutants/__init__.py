"""Changes one module in many small ways, to see which changes no test notices: `make mutants`."""
