"""Architecture search: spaces of shapes, and what is known of a shape before it is trained."""
