"""Ways out: the console tree and OTLP-JSON files. Import the module you need; each loads its libraries when used."""
