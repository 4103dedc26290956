"""One file for each patched surface of Kaizen, and the table of them."""
