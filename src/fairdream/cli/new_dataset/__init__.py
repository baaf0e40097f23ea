"""A configuration for data of one's own: ``fairdream new-dataset``."""
