# syntax=docker/dockerfile:1
# The image of every service and of the gateway. Targets: service (diml_dml_do) and web (diml_dml_do_web).
#
# The base is pinned by its exact tag. A digest is better: `docker buildx imagetools inspect python:3.11.14-slim-bookworm` names
# it, and PYTHON_IMAGE takes it (python:3.11.14-slim-bookworm@sha256:…). It could not be looked up where this file was written.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# --- build: the packages of the lock file, and the code with its bytecode ---------------------------------------------------
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
COPY requirements-tracing.lock /build/
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --require-hashes -r /build/requirements-tracing.lock \
 && /opt/venv/bin/pip uninstall --yes pip setuptools
COPY gateway /app/gateway
COPY services /app/services
COPY shared /app/shared
COPY config.yaml /app/
RUN /opt/venv/bin/python -m compileall -q /app /opt/venv/lib

# --- service: no compiler, no pip, nobody's home, nothing writable but /data and /tmp -------------------------------------------
FROM ${PYTHON_IMAGE} AS service
RUN groupadd --gid 10001 edgemere \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin edgemere \
 && install -d -o 10001 -g 10001 -m 0700 /data \
 && python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    EDGEMERE_DATA=/data EDGEMERE_HEALTH_PORT=8080
USER 10001:10001
EXPOSE 8080
# Alive, not ready: a broker that is away for everybody is no reason to start anything again.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["serve", "requests"]

# --- web: the same, as the gateway -----------------------------------------------------------------------------------------
FROM service AS web
EXPOSE 3000
CMD ["serve", "gateway", "--host", "0.0.0.0", "--port", "3000"]
