"""The pages: what each shows, and what answers at its address."""
