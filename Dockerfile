# syntax=docker/dockerfile:1
# Four images from one file: `api` and `serving` (no PyTorch, about 0.5 and 0.9 GB), `worker` (PyTorch and ultralytics)
# and `mlflow`. `docker compose build` makes all of them. No image runs as root: the user is 10001, `darkroom`,
# as a number because Kubernetes cannot verify of a name that it is not root.

FROM python:3.11.15-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/venv/bin:$PATH
# tini reaps what a training leaves behind: a DataLoader's process whose parent was killed becomes a child of process 1.
# Not pinned: Debian keeps only the newest version of a release, so a build with a pinned one fails later.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/darkroom darkroom
ENTRYPOINT ["tini", "--"]


FROM base AS build-api
# A private index, or one with PyTorch's builds without CUDA, which are 3 GB smaller:
# docker build --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /build
COPY constraints.txt requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt


FROM build-api AS build-worker
ARG PIP_EXTRA_INDEX_URL=""
COPY requirements-worker.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-worker.txt


FROM build-api AS build-serving
COPY requirements-serving.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-serving.txt


# htmx and uPlot, by the lock with their sums; Node stays in this stage.
FROM base AS build-pages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt requirements-pages.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-pages.txt
COPY api/__init__.py api/
COPY api/pages/__init__.py api/pages/
COPY api/pages/vendor api/pages/vendor
RUN --mount=type=cache,target=/root/.npm python -m api.pages.vendor


FROM base AS build-mlflow
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /build
COPY constraints.txt requirements-mlflow.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-mlflow.txt


FROM base AS mlflow
COPY --from=build-mlflow /opt/venv /opt/venv
USER 10001
WORKDIR /var/lib/darkroom
# Without these two: 15 processes and 3 GB instead of 2 and 0.4 GB, and telemetry at every start.
ENV MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_DISABLE_TELEMETRY=true
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5000/health', timeout=4)"]
# MLFLOW_BACKEND_STORE_URI and MLFLOW_ARTIFACTS_DESTINATION name where runs and artifacts are stored.
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1", "--serve-artifacts"]


FROM base AS darkroom
ENV DARKROOM_HOME=/var/lib/darkroom \
    DARKROOM_LOG_JSON=true
WORKDIR /app
COPY core core
COPY http_common http_common
COPY pipeline pipeline


FROM darkroom AS worker
COPY --from=build-worker /opt/venv /opt/venv
COPY worker worker
COPY deploy/__init__.py deploy/worker_health.py deploy/
# opencv-python-headless brings its own libraries; it also needs libstdc++, zlib and libc, which the base has.
# If that changes, or a requirement is missing, the build fails here and not a training later.
RUN python -c "import worker.app, worker.tasks.prepare, worker.tasks.train, core.storage.s3, kombu.transport.redis, cv2, torch, torchvision"
USER 10001
VOLUME /var/lib/darkroom
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "deploy.worker_health"]
# One container for each role: prepare, train, operations or housekeeping.
CMD ["python", "-m", "worker", "train"]


FROM darkroom AS serving
COPY --from=build-serving /opt/venv /opt/venv
COPY serving serving
# The settings decide which modules are imported later: a missing requirement fails here.
RUN python -c "import serving.app, core.storage.s3, kombu.transport.redis, onnxruntime, openvino, cv2; serving.app.create_app()"
USER 10001
VOLUME /var/lib/darkroom
# As the API: without DARKROOM_API_TOKEN or DARKROOM_ALLOW_OPEN it refuses to start.
ENV DARKROOM_SERVING_HOST=0.0.0.0 \
    DARKROOM_SERVING_PORT=8001
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os; from urllib.request import urlopen; urlopen('http://127.0.0.1:' + os.environ['DARKROOM_SERVING_PORT'] + '/health', timeout=4)"]
CMD ["python", "-m", "serving"]


FROM darkroom AS api
COPY --from=build-api /opt/venv /opt/venv
COPY migrations migrations
COPY docs docs
COPY api api
COPY --from=build-pages /build/api/pages/static/vendor api/pages/static/vendor
# The settings decide which modules are imported later: a missing requirement fails here.
RUN python -c "import api.app, core.storage.s3, kombu.transport.redis; api.app.create_app()"
USER 10001
VOLUME /var/lib/darkroom
# Other hosts can reach this address: without DARKROOM_API_TOKEN or DARKROOM_ALLOW_OPEN the API refuses to start.
ENV DARKROOM_API_HOST=0.0.0.0 \
    DARKROOM_API_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os; from urllib.request import urlopen; urlopen('http://127.0.0.1:' + os.environ['DARKROOM_API_PORT'] + '/health', timeout=4)"]
# Also `python -m core.db upgrade` (the tables) and `python -m core.storage` (the bucket), each once before the first start.
CMD ["python", "-m", "api"]
