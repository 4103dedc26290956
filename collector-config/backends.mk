# Included by the Makefile. The real backends of the tests: built once per version into the user's cache
# (~/.cache/kaizen-otel/backends). `make -s jaeger` prints the path of the program.

PYTHON ?= python3

.PHONY: collector jaeger prometheus promtool test-backends collector-sources

test-backends: $(STAMP) collector jaeger prometheus promtool  ## the demo through a real Collector into Jaeger and Prometheus (needs Go)
	$(PYTEST) tests/backends

collector:  ## build the OpenTelemetry Collector of the tests; prints its path
	@$(PYTHON) tests/backends/builds.py otelcol-kaizen

jaeger:  ## build Jaeger; prints its path
	@$(PYTHON) tests/backends/builds.py jaeger

prometheus:  ## build Prometheus; prints its path
	@$(PYTHON) tests/backends/builds.py prometheus

promtool:  ## build Prometheus' tool that checks and tests rules; prints its path
	@$(PYTHON) tests/backends/builds.py promtool

# Writes collector-config/otelcol/src again from manifest.yaml; needed only after a change of the manifest.
collector-sources:
	sh collector-config/otelcol/generate.sh
