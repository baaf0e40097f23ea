"""The one exception that means: the user can mend this, show the message and no traceback."""


class UserError(Exception):
    """A mistake in the configuration or the data, with a message that says what to do about it."""
