# One image for every environment; all that differs is a setting. docs/deploy.md
# BASE: give it by digest, NAME@sha256:..., so that a build can be repeated.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS packages
WORKDIR /build
COPY requirements.txt scripts/install.sh ./
RUN sh install.sh python3 /opt/venv requirements.txt \
    && /opt/venv/bin/pip uninstall -q -y pip setuptools \
    && cd /opt/venv/lib/python3.11/site-packages \
    # Headers and tests, which nothing loads at run time.
    && rm -rf torch/include torch/share torch/bin/test* torch/test \
    && find . -name '*.a' -delete

FROM packages AS model
ARG MODEL=bvanaken/clinical-assertion-negation-bert
ARG MODEL_REVISION=bc4f03ba2923e41f3f4f03bfd7ad15b0ef25b8d5
ENV MODELS_DIR=/models
WORKDIR /app
COPY negation_api negation_api
RUN mkdir -p /models \
    && if [ "$MODEL" != embedded ]; then \
         MODEL="$MODEL" MODEL_REVISION="$MODEL_REVISION" \
         /opt/venv/bin/python -m negation_api model fetch; \
       fi

FROM ${BASE}
ARG MODEL=bvanaken/clinical-assertion-negation-bert
ARG MODEL_REVISION=bc4f03ba2923e41f3f4f03bfd7ad15b0ef25b8d5
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="negation_api" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      negation-api.model="${MODEL}" \
      negation-api.model-revision="${MODEL_REVISION}"
COPY --from=packages /opt/venv /opt/venv
COPY --from=model /models /models
WORKDIR /app
COPY infra/healthcheck.py gunicorn.conf.py wsgi.py ./
COPY negation_api negation_api
# Compiled now: the root file system is read-only later.
RUN /opt/venv/bin/python -m compileall -q .
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    MODEL=${MODEL} \
    MODEL_REVISION=${MODEL_REVISION} \
    MODELS_DIR=/models \
    HF_HUB_OFFLINE=1 \
    OMP_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    TOKENIZERS_PARALLELISM=false \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-S", "healthcheck.py"]
CMD ["gunicorn", "wsgi:app"]
