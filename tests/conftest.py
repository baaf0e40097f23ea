"""What holds for every test."""

import os

# Before any library reads them: threads that wait for each other on a busy machine turn seconds into minutes.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
