"""The only artifact bytes, and the prefixes and links on disk."""
