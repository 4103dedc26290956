"""`kaizen-otel top`: how an application that runs elsewhere performs, read from its store."""
