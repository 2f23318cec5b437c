"""The services behind the gateway: their clients, their public operations and their documents."""
