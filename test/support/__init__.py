"""What the tests share: processes that are ended, a node that looks at the running graph."""
