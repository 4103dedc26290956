#!/bin/sh
# Writes src/ from manifest.yaml: sources by the OpenTelemetry Collector Builder, versions by Go.
# Needed only after a change of the manifest; the result is committed, and `make collector` builds it as it is.
#
# Not the builder's own `go mod tidy`: tidy also wants what the TESTS of all dependencies import, and some of those
# modules did not resolve when this was written. A new module that the public checksum database does not know has to be named once, e.g.
#   GONOSUMDB=go.example.org/some/module sh generate.sh
# From then on its hash is in go.sum, and nothing is exempt.
set -eu
cd "$(dirname "$0")"
CGO_ENABLED=0 GOWORK=off
export CGO_ENABLED GOWORK

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
GOBIN=$tools go install go.opentelemetry.io/collector/cmd/builder@v0.158.0

rm -f src/*.go src/go.mod
# Offline, so that its tidy step fails at once; by then it has written everything.
GOPROXY=off "$tools/builder" --config=manifest.yaml --skip-strict-versioning --skip-compilation \
  >"$tools/log" 2>&1 || [ -s src/go.mod ] || { cat "$tools/log" >&2; exit 1; }
rm -f src/main_windows.go # built on Unix only

cd src
go build -mod=mod -trimpath -buildvcs=false -o /dev/null .
