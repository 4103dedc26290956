"""A support desk of real Kaizen agents, and the local model server that makes it run without a key or a network."""
