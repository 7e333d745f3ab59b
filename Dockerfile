# One image for every environment; all that differs is a setting. docs/deploy.md
# BASE: give it by digest, NAME@sha256:..., so that a build can be repeated.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS packages
WORKDIR /build
COPY requirements.txt requirements-hashes.txt scripts/install.sh ./
# Compiled later, and only what is loaded. Headers, tests and tools are not.
RUN --mount=type=cache,target=/root/.cache/pip \
    PIP_NO_COMPILE=1 sh install.sh python3 /opt/venv requirements.txt requirements-hashes.txt \
    && /opt/venv/bin/python -c 'import torch; assert torch.version.cuda is None, "torch is not for CPU"' \
    && /opt/venv/bin/pip uninstall -q -y pip setuptools \
    && site=/opt/venv/lib/python3.11/site-packages \
    && rm -rf "$site"/torch/include "$site"/torch/share "$site"/torch/test "$site"/torch/lib/*test*.so \
    && find "$site/torch/bin" -type f ! -name torch_shm_manager -delete \
    && find "$site" -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} + \
    && find "$site" -name '*.a' -delete

FROM packages AS model
ARG MODEL=bvanaken/clinical-assertion-negation-bert
ARG MODEL_REVISION=
ENV MODELS_DIR=/models
WORKDIR /app
COPY negation_api negation_api
RUN mkdir -p /models \
    && if [ "$MODEL" != embedded ]; then \
         MODEL="$MODEL" MODEL_REVISION="$MODEL_REVISION" \
         /opt/venv/bin/python -m negation_api model fetch; \
       fi \
    && chmod -R a+rX /models

FROM ${BASE}
ARG BASE
ARG MODEL=bvanaken/clinical-assertion-negation-bert
# Empty: the one that settings.py pins; the pipeline says it.
ARG MODEL_REVISION=
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="negation_api" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.revision="${COMMIT}" \
      negation-api.model="${MODEL}" \
      negation-api.model-revision="${MODEL_REVISION:-pinned by the commit}"
COPY --from=packages /opt/venv /opt/venv
COPY --from=model /models /models
WORKDIR /app
COPY infra/healthcheck.py gunicorn.conf.py wsgi.py ./
COPY negation_api negation_api
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    MODEL=${MODEL} \
    MODEL_REVISION=${MODEL_REVISION} \
    MODELS_DIR=/models \
    HF_HUB_OFFLINE=1 \
    OMP_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    TOKENIZERS_PARALLELISM=false \
    GLIBC_TUNABLES=glibc.malloc.tcache_count=0 \
    PYTHONUNBUFFERED=1
# Loads the model as a start would: fails here if it cannot, and compiles what is
# loaded, since the root file system is read-only later.
RUN gunicorn --check-config wsgi:app \
    && python -S -m py_compile healthcheck.py \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3.11/site-packages/*
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# That user may read the model.
RUN gunicorn --check-config wsgi:app
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-S", "healthcheck.py"]
CMD ["gunicorn", "wsgi:app"]
