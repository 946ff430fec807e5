dynamic "job" {
  for_each = ["a"]
  labels   = [job.value]
  content {}
}
