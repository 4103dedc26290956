# Included by the Makefile. The real backends of the tests: built once per version into the user's cache
# (~/.cache/kaizen-otel/backends). `make -s jaeger` prints the path of the program.

BACKENDS_PYTHON ?= python3

.PHONY: collector jaeger prometheus test-backends collector-sources

collector:
	@$(BACKENDS_PYTHON) tests/backends/builds.py otelcol-kaizen

jaeger:
	@$(BACKENDS_PYTHON) tests/backends/builds.py jaeger

prometheus:
	@$(BACKENDS_PYTHON) tests/backends/builds.py prometheus

# Writes collector-config/otelcol/src again from manifest.yaml; needed only after a change of the manifest.
collector-sources:
	sh collector-config/otelcol/generate.sh
