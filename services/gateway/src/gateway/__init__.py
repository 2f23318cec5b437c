"""The public entrance of the platform: API, uploads, downloads, live logs and the web page."""
