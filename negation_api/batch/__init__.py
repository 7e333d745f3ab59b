"""Files and tables instead of requests: the command line's, and Spark's."""
