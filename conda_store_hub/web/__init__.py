"""The only HTTP server code: routes, who asks, API, live logs, pages."""
