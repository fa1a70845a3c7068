"""cmpkit: the Certificate Management Protocol (RFC 9810) as framework, library, server and command line."""

__version__ = "0.1.0"
