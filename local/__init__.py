"""Runs template.yaml on a laptop: no Docker, no AWS account, no key. `python -m local serve` is the way in.

Apart from the product: nothing that is deployed imports this, and this imports nothing of the product's.
"""
