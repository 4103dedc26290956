"""`kaizen-otel doctor`: what is set, whether it can work, and whether it does; with what to do where it does not.

Each module looks at one thing and gives findings; `examination.examine` runs them all. No module prints.
"""
