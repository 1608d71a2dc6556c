# What every step on Azure ML runs in; the project's own code comes with each job as a snapshot.
# `kedro cloud environment` registers it under the lock file's hash.
FROM python:3.11-slim-bookworm

# PyTorch's index of CPU wheels, if named here, keeps 5 GB of CUDA out of the image.
ARG PIP_EXTRA_INDEX_URL=""

# libgomp1: LightGBM. unixodbc, libgssapi-krb5-2, libltdl7: Microsoft's ODBC driver 18, which the lock
# file brings. OpenSSH: Open MPI reaches the other machines of a step by it.
# Without versions, for Debian takes the old one away with each security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libgomp1 libgssapi-krb5-2 libltdl7 openssh-client openssh-server unixodbc \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash quartet

# Open MPI, mpi4py, FFmpeg (inside PyAV) and the ODBC driver are wheels, held by the lock file too.
COPY requirements.lock /opt/quartet/requirements.lock
RUN python -m venv /opt/quartet/venv \
    && /opt/quartet/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        -r /opt/quartet/requirements.lock
ENV PATH=/opt/quartet/venv/bin:$PATH \
    DO_NOT_TRACK=1 \
    PYTHONDONTWRITEBYTECODE=1

USER 1000
WORKDIR /home/quartet

# Steps bring commands of their own. An endpoint brings the code that serves its model.
CMD ["sh", "-c", "cd \"$AML_APP_ROOT\" && exec python -m scoring.serve"]
