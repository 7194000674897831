"""The stage `select`: a store of clips to the table of a task's clips."""
