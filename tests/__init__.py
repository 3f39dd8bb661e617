"""The tests: a package, because a dependency installs another one of this name."""

import os

# Small matrices are solved many times over: more threads than one only wait for each other, the more the busier the
# machine is. Before numpy is imported, or it has no say.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
