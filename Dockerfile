# CPU image. Workers for a site: docker run ... prefect worker start --type process --pool cpu
FROM python:3.11-slim

RUN useradd --create-home unseen
WORKDIR /srv/unseen
COPY --chown=unseen . .
# A CPU build of torch must be what pip finds for the pinned version; see README, "CUDA".
RUN pip install --no-cache-dir --constraint constraints.txt .

USER unseen
# Not root, so numba's compiled kernels need a place of their own.
ENV NUMBA_CACHE_DIR=/home/unseen/.cache/numba \
    UNSEEN_STORE=/home/unseen/store \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1
RUN unseen warm-up
ENTRYPOINT ["unseen"]
CMD ["--help"]
