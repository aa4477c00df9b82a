"""What runs anywhere: the typed client of the service and the `conda-store` command."""
