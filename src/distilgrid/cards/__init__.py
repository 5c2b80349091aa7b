"""Cards of models and data sets, and the licences of their origins."""
