"""A configuration for data of one's own: ``make new-dataset NAME=…``."""
