"""What a request may hold and a reply holds: JSON both ways, without a web server."""
