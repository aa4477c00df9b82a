"""The registry: images of environments for container tools (OCI distribution specification 1.1, pulling)."""
