locals {
  thousand = range(1024)
}
job "j" {
  dynamic "group" {
    for_each = local.thousand
    labels   = ["g"]
    content {
      dynamic "task" {
        for_each = local.thousand
        labels   = ["t"]
        content {}
      }
    }
  }
}
