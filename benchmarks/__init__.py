"""Our code against its peers, in one run, one thread each: ``make bench``."""
