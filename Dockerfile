# The pipeline in a container, on the CPU or on NVIDIA GPUs, from the repository's root. The
# clone stays outside, and is mounted with all that the stages write:
#
#   docker build --tag srpipe-pipeline .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/clone" srpipe-pipeline dvc repro
#   docker run --rm --gpus all --shm-size 8g --user "$(id -u):$(id -g)" --volume "$PWD:/clone" srpipe-pipeline dvc repro
FROM python:3.11-slim
# For DVC.
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN python -m venv /venv
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY srpipe srpipe
# What is run is the clone's.
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[pipeline,s3,dicom]' && /venv/bin/pip uninstall --yes srpipe
# Of a user whom the image does not know.
ENV PATH=/venv/bin:$PATH HOME=/tmp USER=srpipe MLFLOW_DISABLE_TELEMETRY=true PYTHONDONTWRITEBYTECODE=1
WORKDIR /clone
CMD ["dvc", "repro"]
