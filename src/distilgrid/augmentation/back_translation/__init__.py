"""Back-translation of training rows (MixKD's `+BT`)."""
