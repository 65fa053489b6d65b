"""What makes a run of the benchmark worthless, and so ends it."""


class BenchError(Exception):
    """The message says what to do about it, or what was wrong with an answer."""


class WrongAnswerError(BenchError):
    """A proxy answered something else than the API behind it: its speed means nothing."""
