# The page in a container: docker build -t mambaout-live . && docker run -p 7860:7860 mambaout-live
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 visitor
WORKDIR /srv/page
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    HF_HOME=/var/cache/mambaout/huggingface \
    MAMBAOUT_CACHE=/var/cache/mambaout/mambaout \
    NUMBA_CACHE_DIR=/var/cache/mambaout/numba

# pip reads this: with PyTorch's own index of CPU builds (docs/hosting.md) the image is gigabytes
# smaller, because the default build of torch brings CUDA along.
ARG PIP_EXTRA_INDEX_URL=
COPY requirements.txt .
RUN pip install -r requirements.txt

COPY app.py README.md LICENSE ./
COPY app app
COPY mambaout mambaout
COPY checkpoints checkpoints
RUN mkdir -p /var/cache/mambaout && chown -R visitor:visitor /var/cache/mambaout

# Weights that were downloaded survive a new container where this is a volume.
VOLUME /var/cache/mambaout
USER visitor
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=8)"]
# As Ctrl+C: the first process of a container does not hear SIGTERM, and visitors' files are removed.
STOPSIGNAL SIGINT
CMD ["python", "app.py"]
