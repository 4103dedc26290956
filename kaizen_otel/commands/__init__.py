"""The commands of `kaizen-otel`, one module each, loaded when called. `kaizen_otel.cli` has the table of them."""
