"""LifeStream: recordings that answer questions, with a citation at its second."""

__version__ = "0.1.0"
