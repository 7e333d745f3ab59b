"""One worker's queue, its threads, and the cores and connections that workers share."""
