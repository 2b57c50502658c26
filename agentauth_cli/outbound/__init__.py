"""A request in, a short-lived and narrowed credential of one provider out: one broker a cloud."""
