"""Endpoints: clients and servers that drive the engine over roads, with parts and a store."""
