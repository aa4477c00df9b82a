"""The only business rules: ordinary functions over a session, from identity and values to the wire's schemas."""
