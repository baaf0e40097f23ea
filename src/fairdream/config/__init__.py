"""What a user may say: the sections of the configuration, their checks and their reading."""
