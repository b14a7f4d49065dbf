"""The HTTP client of the gateway, sealed by default, and its typed answers."""
