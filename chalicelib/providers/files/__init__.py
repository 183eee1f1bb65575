"""Where files are kept that are written once: a directory, or a bucket of AWS S3."""
