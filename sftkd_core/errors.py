"""The one error for what a user passes in."""


class InputError(ValueError):
    """Something passed in cannot be used: one sentence naming it, its value and the remedy."""
