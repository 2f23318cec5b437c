"""The services behind the gateway: HTTP clients, public operations and OpenAPI documents."""
