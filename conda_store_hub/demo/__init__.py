"""A whole JupyterHub on this machine, to look at and to test with."""
