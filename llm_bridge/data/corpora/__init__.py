"""Texts that ship with the package, and the script that built them."""
