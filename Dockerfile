# All steps on Azure ML run in this image; each job brings the project's code as a snapshot.
# `kedro cloud environment` registers it under the lock file's hash.

# Build the C++ passes of 8-bit style networks here, as steps have no compiler.
FROM python:3.11-bookworm AS passes
COPY src/quartet/style/native.py src/quartet/style/passes.cpp /passes/
RUN python /passes/native.py /passes/lib

FROM python:3.11-slim-bookworm

# PyTorch's index has wheels for CPUs, PyPI only those with 5 GB of CUDA. The hashes in the lock file
# decide which file is installed, wherever it comes from.
ARG PIP_EXTRA_INDEX_URL="https://download.pytorch.org/whl/cpu"

# libgomp1: LightGBM. unixodbc, libgssapi-krb5-2, libltdl7: Microsoft's ODBC driver 18, which the lock
# file installs. OpenSSH: Open MPI connects to the other nodes of a step with it.
# Without versions, as Debian removes the old one with each security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libgomp1 libgssapi-krb5-2 libltdl7 openssh-client openssh-server unixodbc \
    && rm -rf /var/lib/apt/lists/*

# Open MPI, mpi4py, FFmpeg (inside PyAV) and the ODBC driver are wheels, pinned by the lock file too.
COPY requirements.lock /opt/quartet/requirements.lock
RUN python -m venv /opt/quartet/venv \
    && /opt/quartet/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps \
        -r /opt/quartet/requirements.lock

COPY --from=passes /passes/lib/ /opt/quartet/venv/lib/

# As root, like Microsoft's own training images (github.com/Azure/AzureML-Containers, issue 24): it is
# untested whether mounts, sshd and Open MPI of a training job work as another user. Open MPI runs as
# root only with these variables. Endpoints use another image, without root rights: Dockerfile.serving.
ENV PATH=/opt/quartet/venv/bin:$PATH \
    OMPI_ALLOW_RUN_AS_ROOT=1 \
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    DO_NOT_TRACK=1 \
    PYTHONDONTWRITEBYTECODE=1
