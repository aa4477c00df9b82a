"""The commands of `conda-store`, a module for those that belong together; each is loaded when it is called."""
