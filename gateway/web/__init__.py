"""The web page: what the gateway serves below ``/web``. No build step: what lies here is what the browser gets."""
