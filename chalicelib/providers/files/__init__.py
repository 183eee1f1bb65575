"""Where files are kept that are written once, and photos: a directory, or a bucket of AWS S3."""
