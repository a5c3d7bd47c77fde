"""One process of `gaussbook.experts.train_with_mpi`."""

import sys

from gaussbook.experts.sharding import _process

sys.exit(_process(sys.argv[1]))
