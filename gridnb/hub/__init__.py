"""The process that owns a grid."""
