"""The definitions of the Coq sources, transcribed, and what nashlab computes in their place."""
