"""`kaizen-otel report`: what an application did and cost over days and weeks, from the history in its store."""
