"""Pure text: where entities stand, where sentences end, what the model reads."""
