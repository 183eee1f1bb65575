"""Where people's photos are put and kept: a directory with a door in the local stack, or a bucket of AWS S3."""
