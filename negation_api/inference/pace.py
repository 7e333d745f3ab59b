"""How fast a queue shrinks. Measures no single batch, and reads no clock."""

FIRST_GUESS_TOKENS_PER_SECOND = 1_000.0  # BERT-base on two cores
LEARNING_RATE = 0.2  # weight of the newest batch


class Pace:
    """How fast a queue shrinks, by its last batches.

    Other workers have their turns at the cores too, so what a batch takes by itself
    does not say; waiting for a core counts.

    :ivar rate: tokens a second, or whatever else work is measured in.
    """

    def __init__(self, first_guess: float = FIRST_GUESS_TOKENS_PER_SECOND):
        self.rate = first_guess
        self._since = 0.0  # the last batch was done, or rows came
        self._is_first = False  # the next batch since they did
        self._num_batches = 0
        self._tokens = self._seconds = 0.0  # of a batch, and between two; averages

    @property
    def is_measured(self) -> bool:
        """Tell whether the rate is that of a queue, and no guess."""
        return self._num_batches > 0

    def begin(self, when: float) -> None:
        """Note that rows came, after there had been none for a while."""
        self._since, self._is_first = when, True

    def note(self, tokens: int, when: float, more: bool) -> None:
        """Note that a batch is done, by any thread.

        :param more: whether rows wait: what is computed while there are few says
            little about a queue, but that it is no slower than one that came and went
            alone.
        """
        seconds, self._since = when - self._since, when
        is_lone, self._is_first = self._is_first and not more, False
        if more:
            self._num_batches += 1  # the first replaces the guess
            weight = max(LEARNING_RATE, 1 / self._num_batches)
            self._tokens += weight * (tokens - self._tokens)
            self._seconds += weight * (seconds - self._seconds)
            self.rate = self._tokens / max(self._seconds, 1e-3)
        elif is_lone:
            self.rate = max(self.rate, tokens / max(seconds, 1e-3))
