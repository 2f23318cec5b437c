"""The only public door: API, uploads, downloads, live logs and the web page."""
